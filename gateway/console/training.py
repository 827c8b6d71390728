"""Trains a classifier from a page, one at a time, as `offramp train` does."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from classifiers.errors import ClassifierError
from classifiers.model.registry import Registry
from gateway.config.load import Loaded, load_policy, policy_file
from gateway.config.problems import ConfigError
from gateway.console.classifiers import ListedVersion
from gateway.console.data import data_of, form
from gateway.console.render import page
from gateway.review import ReviewedAgain
from gateway.serving.retrain import this_program
from gateway.serving.snapshot import train_command

_LINES: Final = 200
"""The latest lines of a training that are shown."""
_NICE: Final = 19


@dataclass(slots=True)
class TrainingRun:
    """name: of the classifier; lines: what it has printed; ended: its exit code, None as long as it runs. before: the
    version in use when it began; changed: what a new one makes of the reviewed texts, if there is one."""

    name: str
    process: asyncio.subprocess.Process
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    ended: int | None = None
    before: str | None = None
    changed: ReviewedAgain | None = None

    @classmethod
    async def begin(cls, loaded: Loaded, name: str) -> "TrainingRun":
        """Starts it, at the lowest priority. Raises OSError."""
        command = [*this_program(), "train", str(policy_file(loaded, name)), "--models", str(loaded.models_dir)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, preexec_fn=lambda: os.nice(_NICE)
        )
        return cls(name, process, before=Registry(loaded.models_dir).named(name))

    async def follow(self, loaded: Loaded) -> None:
        """Reads what it prints until it ends, then compares a new version with the one before."""
        assert self.process.stdout is not None
        try:
            async for line in self.process.stdout:
                self.lines.append(line.decode(errors="replace").rstrip())
            ended, made = await self.process.wait(), Registry(loaded.models_dir).named(self.name)
            if not ended and self.before and made and made != self.before:
                self.changed = await asyncio.to_thread(ReviewedAgain.of, loaded, self.name, (self.before, made))
        # ValueError: a line that is too long
        except (ClassifierError, OSError, ValueError) as error:
            self.lines.append(f"not compared with {self.before}: {error}")
        finally:
            self.ended = await self.process.wait()


def why_not(loaded: Loaded, name: str) -> str:
    """Why a classifier is not to be trained from here; empty where it may be."""
    if find_spec("sklearn") is None:
        return "pip install 'offramp[train]' on this machine"
    try:
        paid = [teacher.model for teacher in load_policy(policy_file(loaded, name), os.environ, secrets=False).teachers]
    except ConfigError as error:
        return str(error)
    return f"{paid[0]} would write sentences, which may cost money" if any(paid) else ""


class Trainings:
    """The training of this console: the one that runs, or the last one."""

    def __init__(self) -> None:
        self._run: TrainingRun | None = None
        self._following: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()

    async def show(self, request: Request) -> Response:
        """The page: what can be trained, and what runs. A posted name begins a training, `cancel` ends it."""
        data, problem = data_of(request), ""
        refusals = {name: await run_in_threadpool(why_not, data.loaded, name) for name in data.classifiers}
        if request.method == "POST":
            given = await form(request)
            name = given.get("name", "")
            async with self._beginning:
                runs = self._run is not None and self._run.ended is None
                if given.get("do") == "cancel" and self._run is not None and self._run.process.returncode is None:
                    self._run.process.terminate()
                elif runs and name:
                    problem = "another training runs"
                elif name in refusals and not refusals[name]:
                    self._run = await TrainingRun.begin(data.loaded, name)
                    self._following = asyncio.create_task(self._run.follow(data.loaded))
            if not problem:
                return RedirectResponse("/train", HTTPStatus.SEE_OTHER)
        commands = {name: train_command(policy_file(data.loaded, name), data.loaded) for name in refusals}
        run, registry = self._run, Registry(data.loaded.models_dir)
        pair = run.changed.versions[::-1] if run and run.changed else ()
        versions = [ListedVersion.read(registry, run.name, each) for each in pair] if run else []
        values: dict[str, Any] = {"versions": versions, "refusals": refusals, "commands": commands, "problem": problem}
        return page(request, "train.html.j2", run=run, used=run and registry.named(run.name), **values)
