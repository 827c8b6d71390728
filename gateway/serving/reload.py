"""A new version of a classifier is taken up while the gateway serves: loaded, tested, swapped between two requests.

It is tried once its files have stood still from one look to the next, so that a folder may be copied while it is looked
at. A version that cannot be loaded, fails its own tests, or lacks a label that a rule names is left alone until its
files change, with a line in the log; the old one goes on. What is proposed beside it and at fault is withdrawn, lest it
keep out what comes next. So is what is to be tried and has other labels than the version in use: they are part of a
contract, so that none which it comes to would stand once it takes over.
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
    """What the models folder said at one look. versions: those in use, proposed: those to be tried, by name; files:
    theirs, where they are not what the gateway has; fault: why none of this can be told, empty where it can."""

    versions: Mapping[str, str] = field(default_factory=dict)
    proposed: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[Stamp] = frozenset()
    fault: str = ""


class Reloader:
    """Holds the models folder against what is in use."""

    def __init__(self, loaded: Loaded, *, worker: Worker, in_use: Snapshots, metrics: Metrics) -> None:
        self._loaded = loaded
        self._worker = worker
        self._in_use = in_use
        self._metrics = metrics
        self._seen: FileState | None = None
        self._refused: FileState | None = None

    async def look(self) -> None:
        """Takes up what has changed and stands still by now, if anything."""
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
        # what is not tried and cannot be withdrawn is not looked at once more
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

    def _runtime(self, beside: Mapping[str, str]) -> Runtime:
        had = self._worker.runtime
        runtime = load_runtime(self._loaded, opened=had.encoders.values(), detector=had.detector, beside=beside)
        assert runtime is not None
        return runtime

    def _blame(self, seen: FileState) -> None:
        """Withdraws what is proposed and cannot be loaded beside the versions in use, whether or not it is tried
        already. Where these cannot be loaded themselves, it waits until that is mended."""
        if not seen.proposed or self._fault({}) is not None:
            return
        faults = {name: self._fault({name: version}) for name, version in seen.proposed.items()}
        for name, fault in faults.items():
            if fault is not None:
                _log.error("%s: version %s is not tried: it cannot be taken up: %s", name, seen.proposed[name], fault)
        self._withdraw({name: seen.proposed[name] for name, fault in faults.items() if fault is not None})

    def _fault(self, beside: Mapping[str, str]) -> Exception | None:
        """Why these cannot be loaded beside the versions in use; None where they can."""
        try:
            self._runtime(beside)
        except _FAULTS as error:
            return error
        return None

    def _withdraw(self, proposed: Mapping[str, str]) -> None:
        """What becomes of a version is counted for the rule that retrains its classifier."""
        retrained = {rule.classifier: rule.name for rule in reversed(self._loaded.settings.rules) if rule.retrain}
        for name in withdraw(self._loaded, proposed):
            if name in retrained:
                self._metrics.retrainings.labels(retrained[name], "withdrawn").inc()

    def _to_try(self, runtime: Runtime, new: Snapshot) -> Mapping[str, str]:
        """Of the versions that are proposed those that can be tried; the others are withdrawn."""
        found = dict(new.proposed)
        for name, version in new.proposed.items():
            tried = runtime.classifiers[key_of_version(name, version)].model.policy
            if _labels(tried) != _labels(new.policies[name]):
                del found[name]
                _log.error(
                    "%s: version %s is not tried: it has other labels than %s, which is in use, or in another order; "
                    "train without --beside to put one in use",
                    name,
                    version,
                    new.versions[name],
                )
        self._withdraw({name: version for name, version in new.proposed.items() if name not in found})
        return found

    def _swap(self, runtime: Runtime, new: Snapshot) -> None:
        """Nothing is awaited here, so that no request sees the one without the other."""
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
    """What of a policy's labels belongs to a contract."""
    return policy.multi_label, bool(policy.other), *policy.labels
