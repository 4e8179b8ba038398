"""One component's life on the device: install, start, errors, recovery, stop.

The states and their rules are those of a Greengrass nucleus; in particular, a component that fails
three times from the same state is BROKEN, and only a deployment brings it back.
"""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from enum import StrEnum

from backends.local.nucleus.componentlog import ComponentLog
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.process import Process
from backends.local.nucleus.recipe import Recipe, Step

logger = logging.getLogger(__name__)

MAX_ERRORS = 3
RESTARTS = {100: "the nucleus", 101: "the machine"}
"""Exit statuses of Bootstrap that are no errors: what a nucleus would restart then."""
LAST_WORDS = 300  # characters of a script's last line that go into a reason
BACK_OFF_SECONDS = (0.2, 1.0)


class State(StrEnum):
    NEW = "NEW"
    INSTALLED = "INSTALLED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    STOPPING = "STOPPING"
    ERRORED = "ERRORED"
    BROKEN = "BROKEN"


READY = (State.RUNNING, State.FINISHED)

Replace = Callable[[str], str]
Environment = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The text that would run. A difference means a restart, and that step once more."""

    bootstrap: str
    install: str
    rest: str


@dataclass(frozen=True, slots=True)
class Done:
    """Which steps need not run before the component can start."""

    bootstrap: bool = False
    install: bool = False


class StepFailedError(Exception):
    """A step ended badly; the message is for people."""


class Service:
    """A component at one version. A new version, or new lifecycle text, is a new Service.

    `replace` fills in recipe variables; `environment` makes a start's environment (with a fresh
    token); `dependencies_ready` returns when what it needs runs; `changed` hears of every state.
    """

    def __init__(
        self,
        recipe: Recipe,
        layout: Layout,
        replace: Replace,
        environment: Environment,
        dependencies_ready: "Callable[[Service], Awaitable[None]] | None" = None,
        changed: "Callable[[Service], None]" = lambda _service: None,
        done: Done | None = None,
    ) -> None:
        self.recipe = recipe
        self._done = done or Done()
        self.state = State.INSTALLED if self._done.install else State.NEW
        self.state_time = time.monotonic()
        self.reason = ""
        self.lifecycle = lifecycle_text(recipe, replace)
        self._layout = layout
        self._replace = replace
        self._environment = environment
        self._dependencies_ready = dependencies_ready
        self._changed = changed
        self._started = False
        self._base: Mapping[str, str] = {}
        self._last_line = ""
        self._errors: dict[State, list[float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._report: asyncio.Future[State] | None = None
        self._log = ComponentLog(layout.log(recipe.name), recipe.name)

    def still_done(self, lifecycle: Lifecycle) -> Done:
        """What need not be done again when the same version goes on with that lifecycle."""
        bootstrap = self._done.bootstrap and self.lifecycle.bootstrap == lifecycle.bootstrap
        same_install = bootstrap and self.lifecycle.install == lifecycle.install
        sound = self.state is not State.BROKEN
        return Done(bootstrap, self._done.install and same_install and sound)

    def start(self) -> None:
        self._task = asyncio.create_task(self._live(), name=f"component {self.recipe.name}")

    async def stop(self) -> None:
        """Runs Shutdown, ends every process. The service is not used again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.state is not State.BROKEN and (self._started or self._process is not None):
            self._set(State.STOPPING)
            await self._shut_down()
            self._set(State.FINISHED)
        await self._end_process()
        self._log.close()

    def report(self, state: State) -> None:
        """What the component says about itself (UpdateState).

        RUNNING forgives errors on the way there, but not those of having run: a component that
        gets ready and crashes, again and again, is BROKEN in the end as well.
        """
        if state is State.RUNNING:
            self._errors = {s: times for s, times in self._errors.items() if s is State.RUNNING}
        if self._report is not None and not self._report.done():
            self._report.set_result(state)

    async def _live(self) -> None:
        while True:
            self._report = asyncio.get_running_loop().create_future()
            self._base = self._environment()
            self._last_line = ""
            try:
                await self._install()
                if self._dependencies_ready is not None:
                    await self._dependencies_ready(self)
                await self._serve()
            except StepFailedError as error:
                failed = self.state
                await self._end_process()
                if not await self._after_error(failed, self._with_last_words(str(error))):
                    return
            except Exception as error:
                logger.exception("%s: the lifecycle failed", self.recipe.name)
                self._set(State.BROKEN, f"a fault of the device itself: {error}")
                return
            else:
                return

    async def _install(self) -> None:
        if self._done.install:
            return
        self._set(State.NEW)
        if not self._done.bootstrap:
            code = await self._run_step("bootstrap", (0, *RESTARTS))
            self._done = Done(bootstrap=True)
            if code in RESTARTS:
                self._log.event("WARN", f"Bootstrap asks to restart {RESTARTS[code]}", self.state)
        await self._run_step("install")
        self._done = Done(bootstrap=True, install=True)
        self._set(State.INSTALLED)

    async def _serve(self) -> None:
        """Returns when the component has finished; raises StepFailedError."""
        self._started = True
        if "startup" in self.recipe.steps:
            await self._start_up()
        elif "run" in self.recipe.steps and not self._skipped(self.recipe.steps["run"]):
            await self._run()
            self._set(State.STOPPING)
            await self._shut_down()
        self._started = False
        self._errors.clear()
        self._set(State.FINISHED)

    async def _start_up(self) -> None:
        """Never returns unless cancelled: RUNNING lasts until an error."""
        self._set(State.STARTING)
        step = self.recipe.steps["startup"]
        ended: asyncio.Future[int] | None = None
        if not self._skipped(step):
            process = await self._spawn("startup", step, keep=True)
            ended = asyncio.ensure_future(process.wait())
            first = await self._first(ended, step.timeout)
            if isinstance(first, int) and first != 0:
                raise StepFailedError(f"Startup ended with exit status {first}")
        self._set(State.RUNNING)
        while True:
            what = await self._first(None if ended is None or ended.done() else ended, None)
            if isinstance(what, int) and what != 0:
                raise StepFailedError(f"the process ended with exit status {what}")

    async def _run(self) -> None:
        step = self.recipe.steps["run"]
        self._set(State.STARTING)
        process = await self._spawn("run", step)
        self._set(State.RUNNING)
        ended = asyncio.ensure_future(process.wait())
        deadline = None if step.timeout is None else time.monotonic() + step.timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            what = await self._first(ended, left)
            if isinstance(what, int) and what != 0:
                raise StepFailedError(f"Run ended with exit status {what}")
            if isinstance(what, int):
                return

    async def _first(self, ended: asyncio.Future[int] | None, timeout: float | None) -> int | State:
        """The exit status, or RUNNING when it is reported. Raises on ERRORED and at the timeout."""
        assert self._report is not None
        report = self._report
        waiting: set[asyncio.Future[int] | asyncio.Future[State]] = {report}
        if ended is not None:
            waiting.add(ended)
        done, _ = await asyncio.wait(waiting, timeout=timeout, return_when="FIRST_COMPLETED")
        if not done:
            raise StepFailedError("it was not done within its timeout")
        if report in done:
            self._report = asyncio.get_running_loop().create_future()
            if report.result() is State.ERRORED:
                raise StepFailedError("the component reported ERRORED")
            return State.RUNNING
        assert ended is not None
        return ended.result()

    async def _after_error(self, failed: State, reason: str) -> bool:
        """Whether to go on: counts, recovers, waits a little."""
        now = time.monotonic()
        recent = [t for t in self._errors.get(failed, []) if self._is_recent(now - t)]
        self._errors[failed] = [*recent, now]
        self._set(State.ERRORED, reason)
        self._started = False
        if len(self._errors[failed]) >= MAX_ERRORS:
            self._set(State.BROKEN, reason)
            return False
        try:
            await self._run_step("recover")
        except StepFailedError as error:
            self._log.event("WARN", f"Recover failed: {error}", self.state)
        await asyncio.sleep(BACK_OFF_SECONDS[min(len(recent), len(BACK_OFF_SECONDS) - 1)])
        return True

    def _is_recent(self, age: float) -> bool:
        return age < self.recipe.error_reset_seconds

    async def _shut_down(self) -> None:
        try:
            await self._run_step("shutdown")
        except StepFailedError as error:
            self._log.event("WARN", f"Shutdown failed: {error}", self.state)

    async def _run_step(self, name: str, good: Container[int] = (0,)) -> int:
        """The exit status of a step that is over when its script is. Raises StepFailedError."""
        step = self.recipe.steps.get(name)
        if step is None or self._skipped(step):
            return 0
        process = await self._launch(name, step, keep=False)
        try:
            async with asyncio.timeout(step.timeout):
                code = await process.wait()
        except TimeoutError as error:
            reason = f"{name.capitalize()} took longer than its timeout of {step.timeout:g} s"
            raise StepFailedError(reason) from error
        finally:
            await process.stop()
        if code not in good:
            raise StepFailedError(f"{name.capitalize()} ended with exit status {code}")
        return code

    async def _spawn(self, name: str, step: Step, *, keep: bool = False) -> Process:
        await self._end_process()
        self._process = await self._launch(name, step, keep=keep)
        return self._process

    async def _launch(self, name: str, step: Step, *, keep: bool) -> Process:
        if step.privileged and os.geteuid() != 0:
            raise StepFailedError(
                f"{name.capitalize()} has RequiresPrivilege, and this device does not run as root"
            )
        environment = {
            **self._base,
            **{k: self._replace(v) for k, v in self.recipe.environment.items()},
            **{k: self._replace(v) for k, v in step.environment.items()},
        }
        folder = self._layout.work(self.recipe.name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return await Process.start(
                self._replace(step.script),
                folder,
                environment,
                lambda stream, line: self._hear(name, stream, line),
                keep=keep,
            )
        except OSError as error:
            raise StepFailedError(f"{name.capitalize()} cannot be started: {error}") from error

    def _hear(self, step: str, stream: str, line: str) -> None:
        if line.strip():
            self._last_line = line.strip()[:LAST_WORDS]
        self._log.output(step, stream, line, self.state)

    def _with_last_words(self, reason: str) -> str:
        """What a script said last is most often why it failed."""
        return f"{reason}; it said: {self._last_line}" if self._last_line else reason

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.stop()

    def _skipped(self, step: Step) -> bool:
        """Skipif: `onpath <program>`, `exists <file>`, either with a leading `!`."""
        condition = self._replace(step.skip_if).strip()
        negated = condition.startswith("!")
        kind, _, what = condition.removeprefix("!").strip().partition(" ")
        if kind == "onpath":
            holds = shutil.which(what.strip()) is not None
        elif kind == "exists":
            holds = (self._layout.work(self.recipe.name) / what.strip()).exists()
        else:
            return False
        return holds is not negated

    def _set(self, state: State, reason: str = "") -> None:
        if state is self.state and not reason:
            return
        level = "ERROR" if state in (State.ERRORED, State.BROKEN) else "INFO"
        self._log.event(level, f"{self.state} -> {state}{': ' if reason else ''}{reason}", state)
        self.state = state
        self.state_time = time.monotonic()
        self.reason = reason
        self._changed(self)


def lifecycle_text(recipe: Recipe, replace: Replace) -> Lifecycle:
    environment = sorted((k, replace(v)) for k, v in recipe.environment.items())

    def text(names: set[str]) -> str:
        return repr(
            [
                (
                    name,
                    replace(step.script),
                    step.timeout,
                    step.privileged,
                    replace(step.skip_if),
                    sorted((k, replace(v)) for k, v in step.environment.items()),
                )
                for name, step in recipe.steps.items()
                if name in names
            ]
            + environment
        )

    rest = set(recipe.steps) - {"bootstrap", "install"}
    return Lifecycle(text({"bootstrap"}), text({"install"}), text(rest))
