"""Night falls in the driveway, and the loop closes by itself: `make demo-drift`.

    python -m flows.scenario_drift [--rounds night moved-camera]

A Prefect server, its worker, a broker and a device run in a home of their own, and a small model
is trained on drawn days. Then the world changes before the device's camera. From here on a person
does one thing, to label pictures; the rest follows from schedules and events. Exit status 1 when
the story ends otherwise.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import httpx

from backends.local.fleet import LocalFleet
from backends.settings import PROJECT, Settings, load_settings
from backends.sources.driveway import labels, picture
from backends.sources.plan import Drift, DrivewayPlan
from flows.story import StoryError, say, until
from tasks.drift.alarms import DRIFT, Alarm, read_state
from tasks.drift.scopes import of_thing
from tasks.labelling.batches import Batch, batches
from tasks.recording import Run, read_record
from tasks.retraining.decisions import Decision, read_decisions

THING = "hub-1"
PLAN = (
    "driveway.images=700",
    "epochs=30",
    "device.known_pictures=12",
    "device.scene_pictures=120",
    "device.inference_interval=0.1",
    "device.statistics_interval=5",
)
TARGETS = """
objective = "Warn the people in the house, by day and by night."
[accuracy]
min_top1 = 0.5
[device]
max_latency_p95_ms = 1000
[retraining]
cool_down_hours = 0
min_new_labels = 60
"""
SCENE = 150
"""Pictures before the camera at a time, each drawn anew."""
STRENGTHS = {"night": 0.6}
"""How much the world changes: so that a hundred labels are enough to learn it; else 1."""
LOOK_SECONDS = 10
LETS_LEAVE = {"PicturesMayLeave": "true", "HardExampleScore": "1"}
ALL = 1_000_000
DEADLINE_SECONDS = 240.0
TRAINING_SECONDS = 600.0


@dataclass
class World:
    """What is before the camera, and what it really is: the drawing program knows."""

    fleet: LocalFleet
    seed: int = 1000
    truth: dict[str, str] = field(default_factory=dict)

    def shows(self, drift: Drift) -> None:
        """A new scene: as many pictures as fit before the camera, none of them ever shown."""
        self.seed += 1
        plan = DrivewayPlan(
            images=SCENE, seed=self.seed, drift=drift, drift_strength=STRENGTHS.get(drift, 1.0)
        )
        with tempfile.TemporaryDirectory() as folder:
            drawn = []
            for number, label in enumerate(labels(plan)):
                data = picture(plan, number, label)
                self.truth[hashlib.sha256(data).hexdigest()] = label
                drawn.append(Path(folder) / f"{number:05}.jpg")
                drawn[-1].write_bytes(data)
            self.fleet.place_pictures(THING, drawn)


@dataclass(frozen=True, slots=True)
class Site:
    """One home with all that `edgeward up` starts, and a device before a world."""

    home: Path
    fleet: LocalFleet
    world: World

    def does(self, *command: str) -> str:
        """What one command says. Raises StoryError with its last words."""
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "flows", *command],
            env=os.environ | environment(self.home),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StoryError(f"edgeward {' '.join(command)} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def asks(self, method: str, path: str, body: Any = None) -> Any:
        """The Prefect server, as its UI asks it."""
        url = json.loads((self.home / "prefect/server.json").read_text())["url"]
        answer = httpx.request(method, f"{url}/{path}", json=body, timeout=60)
        return answer.raise_for_status().json() if answer.content else None

    def alarm(self) -> Alarm | None:
        return read_state(self.home, of_thing(THING)).alarms.get(DRIFT)

    def waiting_batch(self) -> Batch | None:
        return next((batch for batch in batches(self.home) if not batch.finished), None)

    def decisions(self) -> list[Decision]:
        return read_decisions(self.home, THING)

    def record(self, run: str) -> Mapping[str, Any]:
        return read_record(Run(run, self.home / "runs" / run))


def environment(home: Path) -> dict[str, str]:
    """Beside whatever else this machine runs: a home and ports of its own."""
    return {
        "EDGEWARD_HOME": str(home),
        "EDGEWARD_PREFECT__PORT": "0",
        "EDGEWARD_BACKEND__JOB_THREADS": "1",  # so small a model gains nothing by more
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="A driveway that changes, for real.")
    drifts = [drift for drift in get_args(Drift) if drift != "none"]
    parser.add_argument("--rounds", nargs="+", choices=drifts, default=["night"])
    rounds: list[Drift] = parser.parse_args().rounds
    home = load_settings().root / "scenarios" / "drift"
    try:
        with begun(home) as site:
            for number, (before, drift) in enumerate(pairwise(("none", *rounds)), 1):
                play_round(site, number, before, drift)
            say_where(site)
    except StoryError as error:
        say(f"NOT AS IT SHOULD BE: {error}")
        return 1
    return 0


@contextmanager
def begun(home: Path, targets: str = TARGETS) -> Iterator[Site]:
    """A model that knows days, on a device that looks at one, and a monitor. All of it ends."""
    fleet = LocalFleet(Settings(home=home))
    site = Site(home, fleet, World(fleet))
    if home.exists():
        site.does("down")
    shutil.rmtree(home, ignore_errors=True)
    try:
        say("Starting a Prefect server, a worker, a broker and a device …")
        site.does("up", "--thing", THING)
        say("Training a small model on drawn days, and deploying it …")
        version = train(site, targets)
        watch_often(site)
        say(f"{THING} runs model {version}; the monitor looks every {LOOK_SECONDS} s.")
        yield site
    finally:
        site.does("down")


def train(site: Site, targets: str) -> str:
    """The first model, on a device that may give pictures away; its version."""
    file = site.home / "targets.toml"
    file.write_text(targets, encoding="utf-8")
    settings = [word for setting in PLAN for word in ("--set", setting)]
    record = json.loads(site.does("run", "--targets", str(file), *settings, "--json"))
    components, _ = site.fleet.deployed(THING)
    merge = {"edgeward.ImageClassification": LETS_LEAVE}
    site.fleet.deploy(THING, components, merge)
    return str(record["model_version"])


def watch_often(site: Site) -> None:
    """The schedule of `watch`, for a story that has no quarters of an hour."""
    watch = site.asks("GET", "deployments/name/watch/scheduled")
    often = {"schedule": {"interval": LOOK_SECONDS}, "active": True}
    site.asks("POST", f"deployments/{watch['id']}/schedules", [often])


def play_round(site: Site, number: int, before: Drift, drift: Drift) -> Decision:
    """The world changes, and the loop closes once. Raises StoryError."""
    say(f"— Round {number} —")
    share = looks_at(site, before)
    say(f"All is quiet. The model is right on {share:.0%} of {SCENE} new pictures.")

    say(f"What the camera sees becomes: {drift}.")
    share = looks_at(site, drift)
    alarm = until("alarm", site.alarm, DEADLINE_SECONDS)
    say(f"ALARM: {THING} drifts, since {alarm.since}:")
    for name, moved in alarm.checks.items():
        say(f"  {name}: {moved.says}")
    say(f"The model is right on {share:.0%} of {SCENE} such pictures.")

    batch = until("pictures to label", site.waiting_batch, DEADLINE_SECONDS)
    say(f"{len(batch.examples)} pictures came from the device and wait for labels.")
    say("A person would open `edgeward label` now; the program that drew them answers instead.")
    told = len(site.decisions())
    label(site, batch)
    decision = until("decision", lambda: newest(site, told), DEADLINE_SECONDS)
    say(in_a_line(decision))
    if decision.retrain:
        conclude(site, decision, drift)
    return decision


def looks_at(site: Site, drift: Drift) -> float:
    """A new scene, until the device has called each of its pictures; the share that was right."""
    known = set(site.world.truth)
    since = datetime.now(UTC).isoformat()
    site.world.shows(drift)
    fresh = {image: name for image, name in site.world.truth.items() if image not in known}

    def called() -> dict[str, str]:
        heard = site.fleet.results(THING, since, ALL, 0)
        labels = {result.image_id: result.label for result in heard if result.image_id in fresh}
        return labels if len(labels) == len(fresh) else {}

    labelled = until("answer for each picture", called, DEADLINE_SECONDS)
    return sum(labelled[image] == name for image, name in fresh.items()) / len(fresh)


def label(site: Site, batch: Batch) -> None:
    """Say what each picture of a batch shows, as a person does who has a table of it."""
    table = site.home / "labels.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("image_id", "label"))
        for example in batch.examples:
            if name := site.world.truth.get(example.image_id):
                rows.writerow((example.image_id, name))
    site.does("label", "--batch", batch.id, "--set", str(table), "--by", "the story", "--finish")


def newest(site: Site, told: int) -> Decision | None:
    """The decision that the labels led to, once there is one."""
    return next((one for one in site.decisions()[told:] if one.cause == "labelled"), None)


def conclude(site: Site, decision: Decision, drift: Drift) -> None:
    """Wait for the new model, and for the end of the alarm. Raises StoryError."""
    run = decision.run_id

    def ended() -> Mapping[str, Any] | None:
        there = (site.home / "runs" / run / "run.json").is_file()
        record = site.record(run) if there else None
        return record if record and "ended_at" in record else None

    record = until("end of the retraining", ended, TRAINING_SECONDS)
    for gate in record["gates"]:
        if gate["name"].startswith("model."):
            say(f"  {gate['name']}: {gate['reason']}")
    if record["status"] != "deployed":
        raise StoryError(f"run {run} is {record['status']}: {record['reason']}")
    share = looks_at(site, drift)
    version = record["model_version"]
    say(f"{THING} runs model {version}; it is right on {share:.0%} of {SCENE} new pictures.")
    until("end of the alarm", lambda: site.alarm() is None, DEADLINE_SECONDS)
    say("The alarm has ended.")


def say_where(site: Site) -> None:
    say(f"The monitor's report: {site.home / 'monitor' / THING / 'report.html'}")
    say("What was decided about retraining:")
    for decision in site.decisions():
        say(f"  {in_a_line(decision)}")


def in_a_line(decision: Decision) -> str:
    """Each guard of a yes is in the decision itself; people ask for those of a no."""
    if not decision.retrain:
        return f"no, asked by {decision.cause}: {decision.reason}"
    allowed = f"all {len(decision.guards)} guards allow it"
    return f"yes, asked by {decision.cause}: {decision.new_labels} new labels; {allowed}"


if __name__ == "__main__":
    sys.exit(main())
