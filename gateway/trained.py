"""The trained classifiers that a gateway file's rules bind, loaded and tested; and loaded anew where one changes."""

import shlex
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from classifiers import Runtime
from classifiers.encoder.session import Encoder
from classifiers.registry import Registry
from classifiers.text.languages import Detector
from gateway.config import source
from gateway.config.bound import rule_problems
from gateway.config.load import Loaded, policy_file
from gateway.config.problems import ConfigError, Problem

Stamp = tuple[str, int, int]
"""A file's path, size in bytes, and time of change in ns."""


def load_runtime(
    loaded: Loaded,
    *,
    opened: Iterable[Encoder] = (),
    detector: Detector | None = None,
    beside: Mapping[str, str] | None = None,
) -> Runtime | None:
    """Loads and self-tests them; None where no rule binds one. opened, detector: at hand, not opened again; beside:
    versions to be tried beside those in use.

    Raises ConfigError where one is missing or a rule names a label it lacks, and ArtifactError where one is damaged
    or fails its own tests.
    """
    registry = Registry(loaded.models_dir)
    names = list(dict.fromkeys(rule.classifier for rule in loaded.settings.rules))
    missing = [
        loaded.document.problem(("rules", index, "classifier"), _untrained(rule.classifier, loaded))
        for index, rule in enumerate(loaded.settings.rules)
        if registry.current(rule.classifier) is None
    ]
    if missing:
        raise ConfigError(missing)
    if not names:
        return None
    threads = loaded.settings.classifier_threads
    runtime = Runtime.load(loaded.models_dir, names, threads=threads, opened=opened, detector=detector, beside=beside)
    problems = rule_problems(loaded, {name: c.model.policy for name, c in runtime.classifiers.items()})
    if problems:
        raise ConfigError([_since_trained(problem, loaded) for problem in problems])
    return runtime


def versions_in_use(loaded: Loaded) -> Mapping[str, str]:
    """What the models folder says by now, of the classifiers that rules bind. Raises ArtifactError."""
    registry = Registry(loaded.models_dir)
    names = dict.fromkeys(rule.classifier for rule in loaded.settings.rules)
    return {name: version for name in names if (version := registry.current(name)) is not None}


def versions_proposed(loaded: Loaded) -> Mapping[str, str]:
    """What is to be tried beside, of the classifiers of rules under a contract. Raises ArtifactError."""
    registry = Registry(loaded.models_dir)
    names = dict.fromkeys(rule.classifier for rule in loaded.settings.rules if rule.contract)
    return {name: version for name in names if (version := registry.proposed(name)) is not None}


def stamps(loaded: Loaded, *versions: Mapping[str, str]) -> frozenset[Stamp]:
    """The files of these versions, by classifier, and of the shared encoders. Raises OSError where one goes."""
    chosen = {loaded.models_dir / name / version for group in versions for name, version in group.items()}
    files = (path for folder in (*chosen, loaded.models_dir / "encoders") for path in folder.rglob("*"))
    return frozenset((str(path), (stat := path.lstat()).st_size, stat.st_mtime_ns) for path in files)


def withdraw(loaded: Loaded, proposed: Mapping[str, str]) -> Collection[str]:
    """Lets these versions, by classifier, not be tried any more; the classifiers' names. What was proposed meanwhile
    stays, and what cannot be taken back from where it stands."""
    registry = Registry(loaded.models_dir)
    done: list[str] = []
    for name, version in proposed.items():
        if registry.proposed(name) == version:
            with suppress(OSError):
                registry.withdraw(name)
                done.append(name)
    return done


def train_command(policy: Path, loaded: Loaded) -> str:
    """The command that trains a policy beside a gateway's file into its models folder, which it finds by itself where
    the file has the usual name."""
    usual = policy.parent / ".." / "gateway.yaml"
    found = usual.is_file() and usual.samefile(loaded.file)
    elsewhere = [] if found else ["--models", str(loaded.models_dir)]
    return shlex.join(["offramp", "train", str(policy), *elsewhere])


def _since_trained(problem: Problem, loaded: Loaded) -> Problem:
    """With how to mend it, where the policy has got a label since its classifier was trained."""
    match problem.path:
        case ("rules", int(index), "then" | "aliases", str(label)):
            policy = policy_file(loaded, loaded.settings.rules[index].classifier)
            if label in _labels_of(policy):
                message = f"{problem.message}; the policy has it by now: run: {train_command(policy, loaded)}"
                return replace(problem, message=message)
    return problem


def _labels_of(policy: Path) -> Collection[str]:
    """As they are written in a policy's file; none where it cannot be read."""
    try:
        data = source.read(policy, {}).data
    except ConfigError:
        return ()
    labels = data.get("labels") if isinstance(data, dict) else None
    return labels if isinstance(labels, dict) else ()


def _untrained(name: str, loaded: Loaded) -> str:
    policy = policy_file(loaded, name)
    mend = (
        f"run: {train_command(policy, loaded)}" if policy.is_file() else f"offramp train takes the policy named {name}"
    )
    return f"no trained classifier {name} in {loaded.models_dir}; {mend}"
