"""A device loses its network and is sent a broken model meanwhile: `make scenario-offline`.

    python -m flows.scenario_offline [--nucleus classic|lite]

The broker is cut; the device goes on classifying; a broken model is deployed to it, and its
component is killed for good measure; the broker comes back. In the end every result that the
device logged must have arrived, once and in order, and the old model must be serving. All of it is
real, in a home of its own; exit status 1 when the story ends otherwise.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import psutil

from backends.artifacts import DeviceResult, Platform
from backends.errors import DeploymentError
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.nucleus.kind import NUCLEI, Kind
from backends.local.objects import BUCKET, LocalObjects
from backends.settings import PROJECT, Settings, load_settings
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT
from flows.story import StoryError, say, until
from tasks.packaging import model_stem
from tasks.recipes import model_recipe

THING = "hub-1"
PLATFORM: Platform = "linux-x86_64"
PLAN = (
    "driveway.images=350",
    "epochs=5",
    "device.known_pictures=6",
    "device.inference_interval=0.2",
)
TARGETS = "[accuracy]\nmin_top1 = 0\n[device]\nmax_latency_p95_ms = 1000\n"
RESULTS_AWAY = 50  # how many pictures the device classifies before the broken model comes
ANY_OF_ONE = ">=1.0.0 <2.0.0"  # so that a local deployment may bring another version
NEWEST = 5  # results that may still be on their way
DEADLINE_SECONDS = 180.0
ALL = 1_000_000

_MESSAGE_ID = re.compile(r'"message_id": "([0-9a-f]{32})"')


@dataclass(frozen=True, slots=True)
class Site:
    """One home with one device in it; `since` is when the story began."""

    home: Path
    fleet: LocalFleet
    since: str

    def logged(self) -> list[str]:
        """The ids of the results that the component logged, oldest first."""
        log = self.fleet.logs(THING).get(INFERENCE_COMPONENT)
        if log is None:
            return []
        parts = sorted(log.parent.glob(f"{log.name}.*"), key=lambda part: -int(part.suffix[1:]))
        text = "".join(part.read_text(errors="replace") for part in [*parts, log])
        return _MESSAGE_ID.findall(text)

    def arrived(self) -> list[DeviceResult]:
        """What the cloud side has, in the order of its arrival."""
        return list(self.fleet.results(THING, self.since, ALL, 0))

    def component(self) -> psutil.Process:
        """The process that classifies."""
        device = psutil.Process(self.fleet.device(THING).pid)
        for process in device.children(recursive=True):
            if process.cmdline()[-2:] == ["-m", "edge"] and "python" in process.name():
                return process
        raise StoryError("the inference component does not run")

    def serving(self) -> str:
        """The model version of the component's latest result, from its own log."""
        text = self.fleet.logs(THING)[INFERENCE_COMPONENT].read_text(errors="replace")
        return str(re.findall(r'"model_version": "([^"]+)", "label"', text)[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description="A device that loses its network, for real.")
    parser.add_argument("--nucleus", choices=tuple(NUCLEI), default="classic")
    nucleus: Kind = parser.parse_args().nucleus
    home = load_settings().root / "scenarios" / f"offline-{nucleus}"
    fleet = LocalFleet(Settings(home=home))
    fleet.stop_everything()
    shutil.rmtree(home, ignore_errors=True)
    try:
        play(Site(home, fleet, datetime.now(UTC).isoformat()), nucleus)
    except StoryError as error:
        say(f"NOT AS IT SHOULD BE: {error}")
        return 1
    finally:
        fleet.stop_everything()
    return 0


def play(site: Site, nucleus: Kind) -> None:
    """The whole story. Raises StoryError."""
    fleet = site.fleet
    fleet.start_device(THING, nucleus=nucleus)
    say(f"A {nucleus} nucleus. Training a small model and deploying it to {THING} …")
    edgeward(site.home, "run")
    fleet.deploy(THING, dict.fromkeys(fleet.device(THING).components, ANY_OF_ONE), {})
    version, process = site.serving(), site.component()
    say(f"{THING} serves model {version}, process {process.pid}; results arrive.")

    fleet.stop_cloud()
    before = len(site.logged())
    say("The broker is cut.")
    until(
        "results without a broker",
        lambda: len(site.logged()) >= before + RESULTS_AWAY,
        DEADLINE_SECONDS,
    )
    say(f"{len(site.logged()) - before} more pictures were classified since; none could be sent.")

    broken = publish_broken(site.home, version)
    say(f"A broken model, {broken}, is deployed on the device itself …")
    say(f"  {refused(fleet, broken)}")
    if site.component().pid != process.pid or site.serving() != version:
        raise StoryError(f"model {version} did not go on serving in its process")
    say(f"Model {version} goes on serving, in the same process.")

    process.kill()
    known = len(site.logged())
    until("results after the kill", lambda: len(site.logged()) > known, DEADLINE_SECONDS)
    say(f"The component was killed; its nucleus started it again, process {site.component().pid}.")

    fleet.ensure_cloud()
    say("The broker is back.")
    until("the end of the queue", lambda: not missing(site), DEADLINE_SECONDS)
    settle(site, before, version)


def settle(site: Site, before: int, version: str) -> None:
    """Compare what was logged with what arrived, and say it. Raises StoryError."""
    logged, arrived = site.logged(), site.arrived()
    ids = [str(result.payload["message_id"]) for result in arrived]
    taken = [result.taken_at for result in arrived]
    figures = {
        "results logged on the device": len(logged),
        "of them since the broker was cut": len(logged) - before,
        "lost": len(missing(site)),
        "doubled": len(ids) - len(set(ids)),
        "out of order": sum(a > b for a, b in pairwise(taken)),
    }
    for name, value in figures.items():
        say(f"  {name:<34}{value:>6}")
    say(f"  {'serving':<34}{site.serving():>6}")
    if any(figures[name] for name in ("lost", "doubled", "out of order")):
        raise StoryError("results were lost, doubled or out of order")
    if site.serving() != version:
        raise StoryError(f"{site.serving()} serves, and it should be {version}")
    say(f"Nothing was lost, and model {version} serves.")


def missing(site: Site) -> set[str]:
    """Results that were logged and have not arrived, but for the newest."""
    logged = site.logged()
    return set(logged[:-NEWEST]) - {str(r.payload["message_id"]) for r in site.arrived()}


def publish_broken(home: Path, version: str) -> str:
    """The model that serves, its library replaced by noise, as the next version; that version."""
    name = f"{model_stem(PLATFORM)}.zip"
    objects = LocalObjects(home / "objects")
    good = home / "objects" / BUCKET / "components" / MODEL_COMPONENT / version / name
    broken = home / name
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(broken, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            target.writestr(entry, b"no library" if entry.filename == "compiled.so" else data)
    store = LocalComponents(home / "components", objects)
    return store.publish(model_recipe([PLATFORM]), [broken]).version


def refused(fleet: LocalFleet, version: str) -> str:
    """What the device says of the broken model. Raises StoryError when it takes it."""
    try:
        fleet.deploy_locally(THING, {MODEL_COMPONENT: version})
    except DeploymentError as error:
        return str(error)
    raise StoryError(f"the broken model {version} was taken")


def edgeward(home: Path, *command: str) -> None:
    """One command of the command line, in this home. Raises StoryError with its last words."""
    targets = home / "targets.toml"
    targets.write_text(TARGETS, encoding="utf-8")
    settings = [word for setting in PLAN for word in ("--set", setting)]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "flows", *command, "--targets", str(targets), *settings],
        env=os.environ | {"EDGEWARD_HOME": str(home)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoryError(f"edgeward {' '.join(command)} failed:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
