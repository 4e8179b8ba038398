"""The full cycle by its command line, for real: MXNet, TVM, DLR, a core device, a broker.

The pictures are easy (three kinds of pattern), so that training takes seconds. The runs share one
home, as a person's do, and are in the order in which they tell a story.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from backends.settings import PROJECT, BackendSettings
from flows.gate_names import GATES

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("jobs_python", "device_python")]

CLASSES = ("dots", "rings", "stripes")
QUICK = tuple(
    word
    for setting in (
        "epochs=6",
        "image_shape=3,16,16",
        "mini_batch_size=8",
        "device.known_pictures=6",
        "device.statistics_interval=2",
    )
    for word in ("--set", setting)
)
LONE = {"EDGEWARD_BACKEND__JOB_THREADS": "1"}
"""The threads of several jobs on few cores would wait for each other most of the time."""
PHOTOS = 60  # of each class
JOBS_PYTHON = BackendSettings().jobs_python


@dataclass(frozen=True)
class Person:
    """Somebody with a home, pictures and a shell."""

    home: Path
    pictures: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        home = str(self.home)
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *arguments],
            cwd=PROJECT,
            env=os.environ | LONE | self.environment | environment | {"EDGEWARD_HOME": home},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def does(self, *arguments: str, **environment: str) -> "Answer":
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=300)
        return Answer(process.returncode, out, err)

    def runs(self, *more: str, **environment: str) -> "Answer":
        data = f"folder:{self.pictures}"
        return self.does("run", "--data", data, "--json", *QUICK, *more, **environment)

    def device(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.does("device", "status", "hub-1", "--json").out)
        return status


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.out)
        return record

    def gate(self, name: str) -> dict[str, Any]:
        gates: dict[str, dict[str, Any]] = {gate["name"]: gate for gate in self.record["gates"]}
        return gates[name]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("person")
    draw_patterns(folder / "pictures", 48)
    person = Person(folder / "home", folder / "pictures")
    yield person
    person.does("down")
    assert left_running(person.home) == []


@pytest.fixture(scope="module")
def first(person: Person) -> Answer:
    """The first run of a person's life."""
    return person.runs()


@pytest.fixture(scope="module")
def later(person: Person, first: Answer, api: str) -> Person:
    """The same person, who has a Prefect server by now: no command needs to start one."""
    return replace(person, environment={"PREFECT_API_URL": api})


@pytest.fixture(scope="module")
def long_training(person: Person) -> tuple[str, ...]:
    """A run that trains for a while, and then is refused: what follows is tested elsewhere."""
    targets = person.pictures.parent / "ghost.toml"
    targets.write_text("[accuracy]\nmin_recall = { ghost = 1 }\n")
    data = f"folder:{person.pictures}"
    more = ("--set", "epochs=60", "--set", "seed=3", "--targets", str(targets))
    return ("run", "--data", data, "--json", *QUICK, *more)


def test_pictures_become_a_verified_answer_of_a_device(person: Person, first: Answer) -> None:
    record = first.record

    assert (first.status, record["status"]) == (0, "deployed"), first.err
    assert record["evaluation"]["top1"] >= 0.8
    assert record["verification"]["executed"] is True
    assert record["verification"]["max_abs_diff"] < 0.001
    assert record["deployment"]["status"] == "SUCCEEDED"
    assert len(record["first_results"]) == 6
    assert all(result["agrees"] for result in record["first_results"])
    assert record["model_version"] == "1.0.0"


def test_each_gate_is_in_the_record_with_its_reason(first: Answer) -> None:
    gates = {gate["name"]: gate for gate in first.record["gates"]}

    others = ("cost.estimate", "device.rolled-back")  # of an account; of what was rolled back
    assert set(gates) == set(GATES) - set(others)
    unjudged = {name for name, gate in gates.items() if gate["passed"] is None}
    assert unjudged == {"data.drift", "model.recall", "model.champion", "model.champion-new"}
    assert gates["model.champion"]["reason"].startswith("no baseline")
    assert all(gate["reason"] for gate in gates.values())


def test_the_report_and_the_data_docs_lie_beside_the_record(person: Person, first: Answer) -> None:
    run = person.home / "runs" / first.record["run_id"]

    assert "hub-1 now runs model version 1.0.0" in (run / "report.html").read_text()
    assert (run / first.record["data_docs"]).is_file()
    assert str(run / "report.html") in first.err.replace("\n", "")


def test_the_same_again_is_quick_and_changes_nothing(later: Person, first: Answer) -> None:
    again = later.runs()

    assert again.record["status"] == "deployed", again.err
    assert again.record["model_version"] == "1.0.0"
    assert again.record["deployment"]["components"] == first.record["deployment"]["components"]
    assert again.gate("data.drift")["passed"] is True
    assert again.gate("model.champion")["measured"] == 0
    assert "epoch 1 of 6" in first.err
    assert "epoch 1 of 6" not in again.err


def test_the_monitor_finds_nothing_in_what_the_model_was_judged_on(
    later: Person, first: Answer, tmp_path: Path
) -> None:
    targets = tmp_path / "few.toml"
    targets.write_text("[drift]\nmin_samples = 5\n")

    few = later.does("monitor", "--json")
    answer = later.does("monitor", "--json", "--targets", str(targets))

    assert json.loads(few.out)["status"] == "no data", "30 pictures prove nothing by default"
    report = json.loads(answer.out)
    assert (answer.status, report["status"]) == (0, "ok"), answer.err
    assert {check["name"] for check in report["checks"]} >= {"input.brightness", "confidence"}


def test_a_refused_run_says_why_and_leaves_the_device_alone(
    later: Person, first: Answer, tmp_path: Path
) -> None:
    targets = tmp_path / "impossible.toml"
    targets.write_text("[device]\nmax_package_mb = 0.001\n")

    refused = later.runs("--targets", str(targets))

    assert (refused.status, refused.record["status"]) == (3, "refused")
    assert "compiled.size" in refused.record["reason"]
    assert refused.record["deployment"] is None
    assert components_of(later.device()) == first.record["deployment"]["components"]
    assert later.device()["running"] is True


def test_an_override_is_by_name_and_is_recorded(
    later: Person, first: Answer, tmp_path: Path
) -> None:
    targets = tmp_path / "impossible.toml"
    targets.write_text("[device]\nmax_package_mb = 0.001\n")

    answer = later.runs("--targets", str(targets), "--override", "compiled.size")

    assert answer.record["status"] == "deployed", answer.err
    assert answer.gate("compiled.size")["passed"] is False
    assert answer.gate("compiled.size")["overridden"] is True


def serving(person: Person) -> psutil.Process:
    """The process that classifies."""
    (found,) = (
        process
        for process in psutil.Process(person.device()["pid"]).children(recursive=True)
        if process.cmdline()[-2:] == ["-m", "edge"]
    )
    return found


def test_a_device_that_does_not_answer_is_given_back_what_it_ran(
    later: Person, first: Answer
) -> None:
    """Its component hangs: the new model is there, and nobody hears what it says."""
    component = serving(later)
    component.suspend()
    try:
        answer = later.runs("--set", "epochs=7", "--set", "device.answer_seconds=3")
    finally:
        component.resume()

    assert (answer.status, answer.record["status"]) == (3, "refused"), answer.err
    assert answer.record["deployment"]["status"] == "SUCCEEDED"
    assert "6 of 6 pictures without an answer" in answer.gate("device.first-result")["reason"]
    assert components_of(later.device()) == first.record["deployment"]["components"]


def test_results_are_shown_as_they_came(later: Person, first: Answer) -> None:
    answer = later.does("results", "--count", "3", "--json")

    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert len(lines) == 3
    assert {line["label"] for line in lines} <= set(CLASSES)
    assert lines[0]["inference-type"] == "image-classification"


def test_a_run_s_model_is_built_for_aws_s_own_component(
    later: Person, first: Answer, tmp_path: Path
) -> None:
    options = ("--platform", "linux-x86_64", "--platform", "linux-armv7l", "--json")
    into = ("--into", str(tmp_path / "public"))

    answer = later.does("public-model", "--run", first.record["run_id"], *into, *options)
    again = later.does("public-model", *into, *options)

    assert answer.status == 0, answer.err
    made = json.loads(answer.out)
    assert made["version"] == "2.1.100"
    assert json.loads(again.out)["version"] == "2.1.100", "the same model is the same version"
    recipe = later.home / "components" / made["component"] / "2.1.100.yaml"
    assert "DLR-resnet50-armv7l-cpu-ImageClassification.zip" in recipe.read_text()
    assert sorted(path.name for path in (tmp_path / "public").iterdir()) == [
        "DLR-resnet50-armv7l-cpu-ImageClassification.zip",
        "DLR-resnet50-x86_64-cpu-ImageClassification.zip",
        "deployment.json",
        "recipe.json",
    ]
    assert "aws greengrassv2 create-deployment" in answer.err


def test_a_package_for_another_cpu_is_published_and_never_called_tested(
    later: Person, first: Answer
) -> None:
    answer = later.runs("--platform", "linux-aarch64")

    assert (answer.status, answer.record["status"]) == (0, "packaged"), answer.err
    assert answer.record["verification"]["executed"] is False
    for name in ("compiled.parity", "compiled.latency", "compiled.memory", "device.first-result"):
        assert answer.gate(name)["passed"] is None
        assert "not executed" in answer.gate(name)["reason"]
    assert components_of(later.device()) == first.record["deployment"]["components"]


def test_ctrl_c_ends_cleanly(person: Person, first: Answer, long_training: tuple[str, ...]) -> None:
    process = person.start(*long_training)
    wait_for(lambda: epochs_trained(person.home) >= 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 1, err
    assert json.loads(out)["reason"] == "interrupted"
    assert "Traceback" not in err
    assert jobs_running(person.home) == []
    assert person.device()["running"] is True


def test_the_same_command_goes_on_and_a_killed_training_is_told_and_goes_on_as_well(
    later: Person, first: Answer, long_training: tuple[str, ...]
) -> None:
    process = later.start(*long_training)
    wait_for(lambda: epochs_trained(later.home) >= 4)
    for job in jobs_running(later.home):
        job.kill()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 1, err
    assert json.loads(out)["status"] == "failed"
    assert "train-" in json.loads(out)["reason"]
    assert "epoch 1 of 60" not in err, "it went on from where Ctrl-C ended it"

    resumed = later.does(*long_training)

    assert "epoch 1 of 60" not in resumed.err
    assert resumed.record["training"]["epochs"] == 60, resumed.err


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        pytest.param(
            {"EDGEWARD_BACKEND__JOBS_PYTHON": "/no/python"}, "make setup", id="no-jobs-environment"
        ),
    ],
)
def test_what_is_missing_is_told_with_the_remedy(
    later: Person, first: Answer, environment: dict[str, str], says: str
) -> None:
    answer = later.runs("--set", "seed=5", **environment)

    assert answer.status == 4, answer.err
    assert says in answer.record["reason"]
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_a_taken_port_is_named_and_nothing_is_left_running(
    first: Answer, person: Person, tmp_path: Path
) -> None:
    """A new home, so that a broker must be started; its jobs are those of the first run."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        home = tmp_path / "home"
        home.mkdir()
        (home / "jobs").symlink_to(person.home / "jobs")
        newcomer = Person(home, person.pictures)
        answer = newcomer.runs(EDGEWARD_MQTT__PORT=port)

    assert answer.status == 4, answer.err
    assert port in answer.record["reason"]
    assert left_running(home) == []


def test_photographs_of_a_persons_own_are_deployed(
    photos: Path, later: Person, tmp_path: Path
) -> None:
    for label in sorted(path for path in photos.iterdir() if path.is_dir()):
        (tmp_path / "photos" / label.name).mkdir(parents=True)
        for photo in sorted(label.iterdir())[:PHOTOS]:
            copyfile(photo, tmp_path / "photos" / label.name / photo.name)

    answer = later.does(
        "run", "--data", f"folder:{tmp_path / 'photos'}", "--json", "--thing", "hub-2",
        "--set", "epochs=1", "--set", "num_layers=20", "--override", "model.accuracy",
    )  # fmt: skip

    assert answer.record["status"] == "deployed", answer.err
    assert answer.record["data"]["images"] == 10 * PHOTOS
    assert len(answer.record["data"]["classes"]) == 10


def draw_patterns(root: Path, each: int, turned: int = 0, seed: int = 5) -> None:
    """Three kinds of pattern, each of a colour of its own, at two sizes, as JPEG and PNG.

    `turned`: each has the colour of the class that comes so many after it.
    """
    random = np.random.default_rng(seed)
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for number in range(each):
            side = int(random.choice([40, 56]))
            y, x = np.mgrid[0:side, 0:side] / side
            u, v = x - random.uniform(0.3, 0.7), y - random.uniform(0.3, 0.7)
            shape = {
                "stripes": np.sin(2 * np.pi * 4 * (u + random.uniform(-0.2, 0.2) * v)),
                "rings": np.sin(2 * np.pi * 6 * np.hypot(u, v)),
                "dots": np.sin(2 * np.pi * 3 * u) * np.sin(2 * np.pi * 3 * v),
            }[label]
            colour = random.uniform(60, 195, 3)
            colour[(CLASSES.index(label) + turned) % len(CLASSES)] = 220
            noise = random.normal(0, 12, (side, side, 3))
            pixels = np.clip(colour + 50 * shape[..., None] + noise, 0, 255).astype(np.uint8)
            suffix = "jpg" if number % 2 else "png"
            Image.fromarray(pixels).save(root / label / f"{number:03}.{suffix}")


def components_of(status: dict[str, Any]) -> dict[str, str]:
    return {name: found["version"] for name, found in status["components"].items()}


def epochs_trained(home: Path) -> int:
    """How many epochs the training that runs now has reported."""
    running = [Path(job.environ()["SM_ML_ROOT"]) for job in jobs_running(home)]
    logs = [folder / "log.txt" for folder in running if folder.name.startswith("train-")]
    return sum(log.read_text().count("Validation-accuracy") for log in logs if log.exists())


def jobs_running(home: Path) -> list[psutil.Process]:
    return [process for process in left_running(home) if str(JOBS_PYTHON) in process.cmdline()]


def left_running(home: Path) -> list[psutil.Process]:
    """Processes that know this home by their environment or arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            known = " ".join([*process.cmdline(), *process.environ().values()])
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if str(home) in known and process.pid != os.getpid():
            found.append(process)
    return found


def wait_for(condition: Any, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
