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
from dataclasses import dataclass, field, replace
from typing import Final

from classifiers import Runtime, Worker
from classifiers.errors import ArtifactError, EncoderError
from classifiers.policy import Policy
from classifiers.runtime.runtime import key_of_version
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.metrics.observe import Metrics
from gateway.metrics.zero import versions_at_zero
from gateway.serving.snapshot import (
    Snapshot,
    Snapshots,
    Stamp,
    edition,
    load_runtime,
    stamps,
    versions_in_use,
    versions_proposed,
    withdraw,
)

_log = logging.getLogger(__name__)
_FAULTS: Final = (ArtifactError, EncoderError, ConfigError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """The models folder at one look. versions, proposed: by classifier; files: of these, where they differ from the
    gateway's; fault: why the folder cannot be read, if so."""

    versions: Mapping[str, str] = field(default_factory=dict)
    proposed: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[Stamp] = frozenset()
    fault: str = ""


class Reloader:
    """Compares the models folder with the versions in use."""

    def __init__(self, loaded: Loaded, *, worker: Worker, in_use: Snapshots, metrics: Metrics) -> None:
        self._loaded = loaded
        self._worker = worker
        self._in_use = in_use
        self._metrics = metrics
        self._seen: FileState | None = None
        self._refused: FileState | None = None

    async def look(self) -> None:
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
            await asyncio.to_thread(self._blame, seen)
            return
        # a version that is not tried and cannot be withdrawn is not loaded once more
        self._refused = None if new.proposed == seen.proposed else seen
        self._swap(runtime, new)

    def _see(self) -> FileState:
        try:
            seen = FileState(versions=versions_in_use(self._loaded), proposed=versions_proposed(self._loaded))
            if not self._differs(seen):
                return seen
            return replace(seen, files=stamps(self._loaded, seen.versions, seen.proposed))
        except (ArtifactError, OSError) as error:
            return FileState(fault=str(error))

    def _differs(self, seen: FileState) -> bool:
        now = self._in_use.edition
        return (seen.versions, seen.proposed) != (now.versions, now.proposed)

    def _load(self, seen: FileState) -> tuple[Runtime, Snapshot]:
        if seen.fault:
            raise ArtifactError(seen.fault)
        runtime = self._runtime(seen.proposed)
        new = edition(self._loaded, runtime, seen.proposed)
        return runtime, replace(new, proposed=self._to_try(runtime, new))

    def _runtime(self, proposed: Mapping[str, str]) -> Runtime:
        had = self._worker.runtime
        runtime = load_runtime(self._loaded, opened=had.encoders.values(), detector=had.detector, proposed=proposed)
        assert runtime is not None
        return runtime

    def _blame(self, seen: FileState) -> None:
        """Withdraws proposed versions that cannot be loaded, whether or not they are tried already. Does nothing while
        the versions in use cannot be loaded themselves."""
        if not seen.proposed or self._fault({}) is not None:
            return
        faults = {name: self._fault({name: version}) for name, version in seen.proposed.items()}
        for name, fault in faults.items():
            if fault is not None:
                _log.error("%s: version %s is not tried: it cannot be taken up: %s", name, seen.proposed[name], fault)
        self._withdraw({name: seen.proposed[name] for name, fault in faults.items() if fault is not None})

    def _fault(self, proposed: Mapping[str, str]) -> Exception | None:
        """Why these cannot be loaded together with the versions in use; None where they can."""
        try:
            self._runtime(proposed)
        except _FAULTS as error:
            return error
        return None

    def _withdraw(self, proposed: Mapping[str, str]) -> None:
        """Withdraws these, and counts each for the rule that retrains its classifier."""
        retrained = {rule.classifier: rule.name for rule in reversed(self._loaded.settings.rules) if rule.retrain}
        for name in withdraw(self._loaded, proposed):
            if name in retrained:
                self._metrics.retrainings.labels(retrained[name], "withdrawn").inc()

    def _to_try(self, runtime: Runtime, new: Snapshot) -> Mapping[str, str]:
        """The proposed versions with the same labels as those in use; withdraws the others."""
        triable = dict(new.proposed)
        for name, version in new.proposed.items():
            tried = runtime.classifiers[key_of_version(name, version)].model.policy
            if _labels(tried) != _labels(new.policies[name]):
                del triable[name]
                _log.error(
                    "%s: version %s is not tried: it has other labels than %s, which is in use, or in another order; "
                    "train without --propose to put one in use",
                    name,
                    version,
                    new.versions[name],
                )
        self._withdraw({name: version for name, version in new.proposed.items() if name not in triable})
        return triable

    def _swap(self, runtime: Runtime, new: Snapshot) -> None:
        """Swaps runtime and rules. Nothing is awaited here, so that no request sees only one of them."""
        old = self._in_use.edition
        self._worker.swap(runtime)
        self._in_use.edition = new
        self._metrics.show_classifiers(runtime, new.versions, before=old.versions)
        versions_at_zero(self._metrics, new.rules)
        for name, version in new.versions.items():
            if old.versions.get(name) != version:
                _log.warning("%s: version %s is in use instead of %s", name, version, old.versions.get(name))
        for name, version in new.proposed.items():
            if old.proposed.get(name) != version:
                _log.warning("%s: version %s is tried beside the one in use", name, version)


def _labels(policy: Policy) -> tuple[object, ...]:
    """The part of a policy's labels that belongs to a contract."""
    return policy.multi_label, bool(policy.other), *policy.labels
