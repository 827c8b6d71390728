"""A new version of a classifier is taken up while the gateway serves: loaded, tested, swapped between two requests.

A version that cannot be loaded, fails its own tests, or lacks a label that a rule names is left alone, with a line in
the log; the old one goes on. What was proposed beside it is withdrawn, lest it keep out what comes next.
"""

import asyncio
import logging
from collections.abc import Mapping

from classifiers import Runtime, Worker
from classifiers.errors import ArtifactError, EncoderError
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.in_use import Edition, InUse, edition
from gateway.metrics import Metrics
from gateway.trained import load_runtime, versions_in_use, versions_proposed, withdraw

Found = tuple[Mapping[str, str], Mapping[str, str]]
"""The versions in use and those proposed, by name."""

_log = logging.getLogger(__name__)


class Reloader:
    """Holds the models folder against what is in use."""

    def __init__(self, loaded: Loaded, *, worker: Worker, in_use: InUse, metrics: Metrics) -> None:
        self._loaded = loaded
        self._worker = worker
        self._in_use = in_use
        self._metrics = metrics
        self._refused: Found = ({}, {})

    async def look(self) -> None:
        """Takes up what has changed since the last look, if anything."""
        found: Found = ({}, {})
        try:
            found = await asyncio.to_thread(self._find)
            now = self._in_use.edition
            if found in ((now.versions, now.proposed), self._refused):
                return
            runtime, new = await asyncio.to_thread(self._load, found[1])
        except (ArtifactError, EncoderError, ConfigError, OSError) as error:
            self._refused = found
            self._metrics.reload_failures.inc()
            _log.error("classifiers that are in use by now cannot be taken up, the old ones go on: %s", error)
            await asyncio.to_thread(withdraw, self._loaded, found[1])
            return
        self._refused = ({}, {})
        self._swap(runtime, new)

    def _find(self) -> Found:
        return versions_in_use(self._loaded), versions_proposed(self._loaded)

    def _load(self, proposed: Mapping[str, str]) -> tuple[Runtime, Edition]:
        opened = self._worker.runtime.encoders.values()
        runtime = load_runtime(self._loaded, opened=opened, beside=proposed)
        assert runtime is not None
        return runtime, edition(self._loaded, runtime, proposed)

    def _swap(self, runtime: Runtime, new: Edition) -> None:
        """Nothing is awaited here, so that no request sees the one without the other."""
        old = self._in_use.edition
        self._worker.swap(runtime)
        self._in_use.edition = new
        self._metrics.show_classifiers(runtime, new.versions, before=old.versions)
        for name, version in new.versions.items():
            if old.versions.get(name) != version:
                _log.warning("%s: version %s is in use instead of %s", name, version, old.versions.get(name))
        for name, version in new.proposed.items():
            if old.proposed.get(name) != version:
                _log.warning("%s: version %s is tried beside the one in use", name, version)
