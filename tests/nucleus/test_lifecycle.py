"""Components start, fail, recover and stop as they would under a Greengrass nucleus."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.ipc import Tokens
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.packages import Packages
from backends.local.nucleus.process import GRACE_SECONDS
from backends.local.nucleus.recipe import Recipe
from backends.local.nucleus.recipe_reader import this_platform
from backends.local.nucleus.service import Service, State
from backends.local.nucleus.services import Services
from backends.local.nucleus.versions import parse_version
from tests.fakes.component_store import Store


class Device:
    """Services without deployments: what the lifecycle does by itself."""

    def __init__(self, folder: Path, nucleus: Nucleus = CLASSIC) -> None:
        self.nucleus = nucleus
        self.layout = Layout(folder / "thing")
        self.layout.create()
        self.store = Store(folder / "home")
        self.configuration = Configuration()
        self.states: list[tuple[str, State]] = []
        self.recipes: dict[str, Recipe] = {}
        self.services = Services(
            self.layout,
            self.configuration,
            Tokens(),
            socket="/nowhere",
            thing="hub",
            nucleus=nucleus,
        )
        self.services.on_change(self._record)

    def _record(self, service: Service) -> None:
        if not self.states or self.states[-1] != (service.recipe.name, service.state):
            self.states.append((service.recipe.name, service.state))

    def add(self, name: str, lifecycle: Mapping[str, Any], **more: Any) -> None:
        self.store.add(name, "1.0.0", lifecycle, **more)
        packages = Packages(
            self.layout,
            self.store.components,
            self.store.objects,
            this_platform(),
            self.nucleus,
        )
        recipe = packages.recipe(name, parse_version("1.0.0"))
        packages.fetch(recipe)
        self.configuration.merge(name, recipe.defaults, 1)
        self.recipes[name] = recipe

    async def start(self) -> None:
        await self.services.replace(self.stale(), self.recipes)

    def stale(self) -> list[str]:
        return self.services.stale(self.recipes, self.configuration)

    async def until(self, condition: Callable[[], bool], seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def reaches(self, name: str, state: State) -> None:
        await self.until(lambda: self.services[name].state is state)

    def of(self, name: str) -> list[State]:
        return [state for who, state in self.states if who == name]

    def log(self, name: str) -> str:
        return self.layout.log(name).read_text()

    def work(self, name: str) -> Path:
        return self.layout.work(name)


def played(tmp_path: Path, act: Callable[[Device], Awaitable[None]]) -> Device:
    """Runs `act` on a device and stops it; nothing of it may be left running."""

    async def play() -> Device:
        device = Device(tmp_path)
        try:
            await act(device)
        finally:
            await device.services.stop_all()
        return device

    return asyncio.run(play())


def test_a_component_is_installed_run_and_shut_down_in_its_work_folder(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add(
            "app",
            {
                "Setenv": {"WHO": "{iot:thingName}", "WORD": "{configuration:/Word}"},
                "Install": "echo $WHO > installed",
                "Run": {
                    "Script": "echo $WORD $MORE; pwd > ran; exec sleep 100",
                    "Setenv": {"MORE": "x"},
                },
                "Shutdown": "echo down > stopped",
            },
            defaults={"Word": "hello"},
        )
        await device.start()
        await device.reaches("app", State.RUNNING)
        await device.until(lambda: "hello x" in device.log("app"))

    device = played(tmp_path, act)

    assert (device.work("app") / "installed").read_text() == "hub\n"
    assert (device.work("app") / "ran").read_text().strip() == str(device.work("app"))
    assert (device.work("app") / "stopped").is_file()
    assert device.of("app") == [
        State.NEW, State.INSTALLED, State.STARTING, State.RUNNING, State.STOPPING, State.FINISHED
    ]  # fmt: skip
    assert (
        "[INFO] (Copier) app: stdout. hello x. {scriptName=services.app.lifecycle.Run.Script"
        in (device.log("app"))
    )


def test_a_script_that_ends_well_finishes_its_component(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Run": "true"})
        device.add("nothing", {"Install": "true"})
        await device.start()
        await device.reaches("app", State.FINISHED)
        await device.reaches("nothing", State.FINISHED)

    assert State.ERRORED not in played(tmp_path, act).of("app")


def test_three_errors_from_one_state_break_a_component_and_recover_runs_between(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Run": "exit 3", "Recover": "echo again >> recovered"})
        await device.start()
        await device.reaches("app", State.BROKEN)

    device = played(tmp_path, act)

    assert device.of("app").count(State.ERRORED) == 3
    assert device.of("app")[-1] is State.BROKEN
    assert (device.work("app") / "recovered").read_text() == "again\nagain\n"


def test_a_component_that_kills_its_guard_is_an_error_like_any_other(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Run": "sleep 100 & echo child $!; kill -9 $PPID; exec sleep 100"})
        await device.start()

        await device.until(lambda: State.ERRORED in device.of("app"), GRACE_SECONDS / 2)
        await device.reaches("app", State.BROKEN)

        assert "Run ended with exit status 137" in device.services["app"].reason
        children = {int(pid) for pid in re.findall(r"child (\d+)", device.log("app"))}
        assert len(children) == 3
        await device.until(lambda: not any(map(psutil.pid_exists, children)), GRACE_SECONDS)

    played(tmp_path, act)


def test_a_component_that_recovers_in_time_goes_on(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Run": "test -e ok || { touch ok; exit 1; }; exec sleep 100"})
        await device.start()
        await device.until(lambda: device.of("app")[-2:] == [State.STARTING, State.RUNNING])
        await device.until(lambda: State.ERRORED in device.of("app"))
        await device.reaches("app", State.RUNNING)

    device = played(tmp_path, act)

    assert device.of("app").count(State.ERRORED) == 1
    assert State.BROKEN not in device.of("app")


@pytest.mark.parametrize("step", ["Install", "Run", "Startup"])
def test_a_step_that_hangs_is_ended_at_its_timeout(tmp_path: Path, step: str) -> None:
    async def act(device: Device) -> None:
        device.add("app", {step: {"Script": "sleep 100", "Timeout": 1}})
        await device.start()
        await device.until(lambda: State.ERRORED in device.of("app"))

    started = time.monotonic()
    device = played(tmp_path, act)

    assert "timeout" in device.log("app")
    assert time.monotonic() - started < 10


def test_dependents_wait_until_what_they_need_runs(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("model", {"Startup": "sleep 0.3; touch ../../model-ready"})
        device.add(
            "app",
            {"Run": "test -e ../../model-ready && exec sleep 100"},
            needs={"model": {"VersionRequirement": "*"}},
        )
        await device.start()
        await device.reaches("app", State.RUNNING)

    device = played(tmp_path, act)

    order = [entry for entry in device.states if entry[1] in (State.RUNNING, State.STARTING)]
    assert order == [
        ("model", State.STARTING),
        ("model", State.RUNNING),
        ("app", State.STARTING),
        ("app", State.RUNNING),
    ]
    ended = [name for name, state in device.states if state is State.STOPPING]
    assert ended == ["app", "model"]


def soft(name: str) -> dict[str, Any]:
    return {name: {"VersionRequirement": "*", "DependencyType": "SOFT"}}


@pytest.mark.parametrize("lifecycle", [{"Startup": "exit 7"}, {"Install": "exit 7"}])
def test_what_is_needed_softly_may_be_broken_itself_or_by_what_it_needs(
    tmp_path: Path, lifecycle: dict[str, str]
) -> None:
    """A model that does not start must not keep the alarm from ringing."""

    async def act(device: Device) -> None:
        device.add("broken", lifecycle)
        device.add("between", {"Run": "true"}, needs={"broken": {"VersionRequirement": "*"}})
        device.add("app", {"Run": "exec sleep 100"}, needs={**soft("broken"), **soft("between")})

        await device.start()

        await device.reaches("app", State.RUNNING)
        await device.reaches("broken", State.BROKEN)
        assert device.services["between"].state is State.INSTALLED

    played(tmp_path, act)


def test_what_is_needed_softly_starts_before_when_it_starts_at_all(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("helper", {"Install": "sleep 0.3", "Startup": "sleep 0.3"})
        device.add("app", {"Run": "exec sleep 100"}, needs=soft("helper"))

        await device.start()
        await device.reaches("app", State.RUNNING)

        started = [entry for entry in device.states if entry[1] is State.RUNNING]
        assert started == [("helper", State.RUNNING), ("app", State.RUNNING)]

    played(tmp_path, act)


def test_a_needed_component_that_shuts_down_has_run(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        last = "touch stops; until [ -e go ]; do sleep 0.05; done"
        first = "until [ -e ../once/stops ]; do sleep 0.05; done"
        device.add("once", {"Run": "true", "Shutdown": last})
        device.add(
            "app",
            {"Install": first, "Run": "exec sleep 100"},
            needs={"once": {"VersionRequirement": "*"}},
        )

        await device.start()
        await device.reaches("app", State.RUNNING)

        assert device.services["once"].state is State.STOPPING
        (device.work("once") / "go").touch()

    played(tmp_path, act)


@pytest.mark.parametrize(("kind", "starts"), [("HARD", 2), ("SOFT", 1)])
def test_a_failing_dependency_restarts_only_those_that_hold_it_hard(
    tmp_path: Path, kind: str, starts: int
) -> None:
    async def act(device: Device) -> None:
        device.add("base", {"Run": "while ! test -e fail; do sleep 0.05; done; rm fail; exit 1"})
        device.add(
            "app",
            {"Run": "echo started; exec sleep 100"},
            needs={"base": {"VersionRequirement": "*", "DependencyType": kind}},
        )
        await device.start()
        await device.until(lambda: "started" in device.log("app"))
        (device.work("base") / "fail").touch()
        await device.until(lambda: State.ERRORED in device.of("base"))
        await device.until(lambda: device.of("base")[-1] is State.RUNNING)
        await device.until(lambda: device.log("app").count("stdout. started") >= starts)
        await device.reaches("app", State.RUNNING)

    device = played(tmp_path, act)

    assert device.log("app").count("stdout. started") == starts


def test_a_startup_component_runs_on_in_the_background_until_it_is_stopped(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Startup": "sleep 100 & echo $! > pid"})
        await device.start()
        await device.reaches("app", State.RUNNING)
        os.kill(int((device.work("app") / "pid").read_text()), 0)

    device = played(tmp_path, act)

    with pytest.raises(ProcessLookupError):
        os.kill(int((device.work("app") / "pid").read_text()), 0)


def test_a_startup_component_can_report_its_own_readiness_and_failure(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Startup": "exec sleep 100"})
        await device.start()
        await device.reaches("app", State.STARTING)
        await device.until(lambda: device.services["app"]._process is not None)
        device.services["app"].report(State.RUNNING)
        await device.reaches("app", State.RUNNING)
        device.services["app"].report(State.ERRORED)
        await device.until(lambda: State.ERRORED in device.of("app"))

    assert "the component reported ERRORED" in played(tmp_path, act).log("app")


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("onpath sh", False),
        ("onpath no-such-program", True),
        ("exists there", False),
        ("exists not-there", True),
        ("!exists not-there", False),
    ],
)
def test_a_step_is_skipped_by_its_condition(tmp_path: Path, condition: str, runs: bool) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Install": {"Script": "touch ran", "Skipif": condition}})
        (device.work("app") / "there").touch()
        await device.start()
        await device.reaches("app", State.FINISHED)

    assert (played(tmp_path, act).work("app") / "ran").exists() is runs


def test_variables_of_direct_dependencies_are_replaced_and_others_are_left(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("model", {"Install": "true"}, defaults={"Name": "resnet", "Map": {"a": [1]}})
        device.add("stranger", {"Install": "true"})
        device.add(
            "app",
            {
                "Run": "echo '{model:configuration:/Name} {model:configuration:/Map/a}"
                " {model:artifacts:path} {stranger:work:path} {configuration:/none}'"
            },
            needs={"model": {"VersionRequirement": "*"}},
        )
        await device.start()
        await device.reaches("app", State.FINISHED)

    device = played(tmp_path, act)

    path = device.layout.artifacts("model", "1.0.0")
    expected = f"resnet [1] {path} {{stranger:work:path}} {{configuration:/none}}"
    assert expected in device.log("app")


def test_only_changed_text_restarts_a_component_and_only_changed_install_text_reinstalls_it(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.add(
            "app",
            {
                "Install": "echo installed",
                "Run": "echo {configuration:/Word}; exec sleep 100",
            },
            defaults={"Word": "one", "Other": 1},
        )
        await device.start()
        await device.reaches("app", State.RUNNING)
        device.configuration.merge("app", {"Other": 2}, 10)
        assert device.stale() == []

        device.configuration.merge("app", {"Word": "two"}, 10)
        assert device.stale() == ["app"]
        await device.start()
        await device.until(lambda: "stdout. two" in device.log("app"))

    assert played(tmp_path, act).log("app").count("stdout. installed") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may run privileged steps")
def test_a_privileged_step_is_refused_without_root(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Run": {"Script": "true", "RequiresPrivilege": True}})
        await device.start()
        await device.until(lambda: State.ERRORED in device.of("app"))

    assert "RequiresPrivilege" in played(tmp_path, act).log("app")


def test_a_line_without_an_end_and_bytes_that_are_no_text_reach_the_log(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Run": "head -c 100000 /dev/zero | tr '\\0' x; printf '\\377end'"})
        await device.start()
        await device.reaches("app", State.FINISHED)

    log = played(tmp_path, act).log("app")

    assert log.count("x") >= 100_000
    assert "\ufffdend" in log


@pytest.mark.parametrize("status", [0, 100, 101])
def test_bootstrap_runs_once_and_may_ask_for_a_restart(tmp_path: Path, status: int) -> None:
    async def act(device: Device) -> None:
        lifecycle = {"Bootstrap": f"echo booted; exit {status}", "Install": "echo installed"}
        device.add("app", {**lifecycle, "Run": "exec sleep 100"})
        await device.start()
        await device.reaches("app", State.RUNNING)
        await device.services.stop_all()

        await device.services.bring_back(device.recipes)
        await device.until(lambda: device.log("app").count("stdout. installed") == 2)

    log = played(tmp_path, act).log("app")
    assert log.count("stdout. booted") == 1
    assert ("Bootstrap asks to restart" in log) is (status != 0)


def test_a_broken_component_is_installed_again_by_a_deployment(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.add("app", {"Install": "echo installed", "Startup": "test -e good"})
        await device.start()
        await device.reaches("app", State.BROKEN)
        (device.work("app") / "good").touch()

        await device.start()
        await device.reaches("app", State.RUNNING)

    assert played(tmp_path, act).log("app").count("stdout. installed") == 2
