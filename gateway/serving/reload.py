"""Puts new versions of classifiers in use while the gateway serves: loads and tests them, swaps between two requests.

A version is loaded once its files have not changed from one look to the next, so that a folder may be copied meanwhile.
One that cannot be loaded, fails its own tests, or lacks a label that a rule names is logged and left alone until its
files change; the old version stays in use. A proposed version that is at fault is withdrawn, for it would keep out the
next one. So is one with other labels than the version in use: labels are part of a contract, so its contracts would not
hold once it takes over.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from classifiers import Runtime, Worker
from classifiers.errors import ArtifactError, EncoderError
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime.runtime import key_of_version
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.metrics.observe import Metrics
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, build_snapshot, load_runtime
from gateway.serving.zero import initialise_versions

_log = logging.getLogger(__name__)
_FAULTS: Final = (ArtifactError, EncoderError, ConfigError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """The models folder at one look. versions, proposed: by classifier; files: path, bytes and time of change in ns of
    each of their files, where they differ from the gateway's; fault: why the folder cannot be read, if so."""

    versions: Mapping[str, str] = field(default_factory=dict)
    proposed: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[tuple[str, int, int]] = frozenset()
    fault: str = ""


class Reloader:
    """Compares the models folder with the versions in use."""

    def __init__(self, loaded: Loaded, *, worker: Worker, current: CurrentSnapshot, metrics: Metrics) -> None:
        self._loaded = loaded
        self._registry = Registry(loaded.models_dir)
        self._worker = worker
        self._current = current
        self._metrics = metrics
        self._seen: FileState | None = None
        self._refused: FileState | None = None

    async def tick(self) -> None:
        """Loads versions that have changed since, if their files have not changed since the latest look."""
        seen = await asyncio.to_thread(self._see)
        before, self._seen = self._seen, seen
        if not self._differs(seen):
            self._refused = None
            return
        if seen != before or seen == self._refused:
            return
        try:
            runtime, new = await asyncio.to_thread(self._load, seen)
        except _FAULTS as error:
            self._refused = seen
            self._metrics.reload_failures.inc()
            _log.error("classifiers that are in use by now cannot be taken up, the old ones go on: %s", error)
            await asyncio.to_thread(self._blame, seen.proposed)
            return
        # a version that is not tried and cannot be withdrawn is not loaded once more
        self._refused = None if new.proposed == seen.proposed else seen
        self._swap(runtime, new)

    def _see(self) -> FileState:
        rules, models_dir = self._loaded.settings.rules, self._loaded.models_dir
        try:
            current = {name: self._registry.current(name) for rule in rules for _, name in rule.bindings}
            challengers = {rule.classifier: self._registry.proposed(rule.classifier) for rule in rules if rule.contract}
            versions, proposed = ({n: v for n, v in each.items() if v is not None} for each in (current, challengers))
            seen = FileState(versions=versions, proposed=proposed)
            if not self._differs(seen):
                return seen
            folders = [models_dir / name / version for name, version in (*versions.items(), *proposed.items())]
            paths = (path for folder in (*folders, models_dir / "encoders") for path in folder.rglob("*"))
            files = frozenset((str(path), (stat := path.lstat()).st_size, stat.st_mtime_ns) for path in paths)
            return replace(seen, files=files)
        except (ArtifactError, OSError) as error:
            return FileState(fault=str(error))

    def _differs(self, seen: FileState) -> bool:
        now = self._current.snapshot
        return (seen.versions, seen.proposed) != (now.versions, now.proposed)

    def _load(self, seen: FileState) -> tuple[Runtime, Snapshot]:
        """The runtime, and its snapshot without the proposed versions whose labels are not those in use."""
        if seen.fault:
            raise ArtifactError(seen.fault)
        runtime = self._runtime(seen.proposed)
        new = build_snapshot(self._loaded, runtime, seen.proposed)
        others = {
            name: f"it has other labels than {new.versions[name]}, which is in use, or in another order; "
            "train without --propose to put one in use"
            for name, version in seen.proposed.items()
            if _labels(runtime.classifiers[key_of_version(name, version)].model.policy) != _labels(new.policies[name])
        }
        self._withdraw(seen.proposed, others)
        tried = {name: version for name, version in seen.proposed.items() if name not in others}
        return runtime, replace(new, proposed=tried)

    def _runtime(self, proposed: Mapping[str, str]) -> Runtime:
        had = self._worker.runtime
        runtime = load_runtime(self._loaded, opened=had.encoders.values(), detector=had.detector, proposed=proposed)
        assert runtime is not None
        return runtime

    def _blame(self, proposed: Mapping[str, str]) -> None:
        """Withdraws proposed versions that cannot be loaded, whether or not they are tried already. Does nothing while
        the versions in use cannot be loaded themselves."""
        if proposed and not self._fault({}):
            faults = {name: self._fault({name: version}) for name, version in proposed.items()}
            self._withdraw(proposed, {name: fault for name, fault in faults.items() if fault})

    def _fault(self, proposed: Mapping[str, str]) -> str:
        """Why these cannot be loaded together with the versions in use; empty where they can."""
        try:
            self._runtime(proposed)
        except _FAULTS as error:
            return f"it cannot be taken up: {error}"
        return ""

    def _withdraw(self, proposed: Mapping[str, str], faults: Mapping[str, str]) -> None:
        """Withdraws the proposed versions at fault, by classifier, and counts each for the rule that retrains it.
        Versions that were proposed meanwhile stay, and so do those in a folder that cannot be written."""
        for name, fault in faults.items():
            _log.error("%s: version %s is not tried: %s", name, proposed[name], fault)
            if self._registry.proposed(name) != proposed[name]:
                continue
            with suppress(OSError):
                self._registry.withdraw(name)
                retrain = [
                    rule.name for rule in self._loaded.settings.rules if rule.retrain and rule.classifier == name
                ]
                for rule in retrain[:1]:
                    self._metrics.retrainings.labels(rule, "withdrawn").inc()

    def _swap(self, runtime: Runtime, new: Snapshot) -> None:
        """Swaps runtime and rules. Nothing is awaited here, so that no request sees only one of them."""
        old = self._current.snapshot
        self._worker.swap(runtime)
        self._current.snapshot = new
        self._metrics.show_classifiers(runtime, new.versions, before=old.versions)
        initialise_versions(self._metrics, new.rules)
        for name, version in new.versions.items() - old.versions.items():
            _log.warning("%s: version %s is in use instead of %s", name, version, old.versions.get(name))
        for name, version in new.proposed.items() - old.proposed.items():
            _log.warning("%s: version %s is tried beside the one in use", name, version)


def _labels(policy: Policy) -> tuple[object, ...]:
    """The part of a policy's labels that belongs to a contract."""
    return policy.multi_label, bool(policy.other), *policy.labels
