"""Puts new versions of classifiers in use while the gateway serves: loads and tests them, swaps between two requests.

A version is loaded once its files have not changed from one look to the next, so that a folder may be copied meanwhile.
One that cannot be loaded, fails its own tests, or lacks a label that a rule names is logged and left alone until its
files change; the old version stays in use.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from classifiers import Runtime, Worker
from classifiers.errors import ArtifactError, EncoderError
from classifiers.model.registry import Registry
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.metrics.observe import Metrics
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, build_snapshot, load_runtime
from gateway.serving.zero import initialise_versions

_log = logging.getLogger(__name__)
_FAULTS: Final = (ArtifactError, EncoderError, ConfigError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """The models folder at one look. versions: by classifier; files: path, bytes and time of change in ns of each of
    their files, where they differ from the gateway's; fault: why the folder cannot be read, if so."""

    versions: Mapping[str, str] = field(default_factory=dict)
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
            return
        self._refused = None
        self._swap(runtime, new)

    def _see(self) -> FileState:
        rules, models_dir = self._loaded.settings.rules, self._loaded.models_dir
        try:
            current = {name: self._registry.current(name) for rule in rules for _, name in rule.bindings}
            versions = {name: version for name, version in current.items() if version is not None}
            seen = FileState(versions=versions)
            if not self._differs(seen):
                return seen
            folders = [models_dir / name / version for name, version in versions.items()]
            paths = (path for folder in (*folders, models_dir / "encoders") for path in folder.rglob("*"))
            files = frozenset((str(path), (stat := path.lstat()).st_size, stat.st_mtime_ns) for path in paths)
            return replace(seen, files=files)
        except (ArtifactError, OSError) as error:
            return FileState(fault=str(error))

    def _differs(self, seen: FileState) -> bool:
        return seen.versions != self._current.snapshot.versions

    def _load(self, seen: FileState) -> tuple[Runtime, Snapshot]:
        if seen.fault:
            raise ArtifactError(seen.fault)
        had = self._worker.runtime
        runtime = load_runtime(self._loaded, opened=had.encoders.values(), detector=had.detector)
        assert runtime is not None
        return runtime, build_snapshot(self._loaded, runtime)

    def _swap(self, runtime: Runtime, new: Snapshot) -> None:
        """Swaps runtime and rules. Nothing is awaited here, so that no request sees only one of them."""
        old = self._current.snapshot
        self._worker.swap(runtime)
        self._current.snapshot = new
        self._metrics.show_classifiers(runtime, new.versions, before=old.versions)
        initialise_versions(self._metrics, new.rules)
        for name, version in new.versions.items() - old.versions.items():
            _log.warning("%s: version %s is in use instead of %s", name, version, old.versions.get(name))
