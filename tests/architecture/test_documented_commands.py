"""Every command that the documentation shows is run: here, or by a test that is named here.

What needs an account of AWS is held to AWS's own description of its API.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from backends.settings import PROJECT, known_variables
from tasks.packaging import package_model
from tasks.recipes import model_recipe
from tests.architecture.documented_commands import (
    documented,
    essence,
    said_by,
    shown_lines,
)
from tests.fakes.component_store import Store
from tests.flows.test_cycle import left_running
from tests.flows.test_variant import remarked
from tests.site import Site
from tests.tiny_model import CLASSES, Compile, TinyModel

CYCLE = "tests/flows/test_cycle.py"
ACCOUNT = "tests/backends/aws/test_commands.py"
OF_A_RUN = f"{CYCLE}::test_pictures_become_a_verified_answer_of_a_device"
OTHER_CPU = f"{CYCLE}::test_a_package_for_another_cpu_is_published_and_never_called_tested"
PUBLIC = f"{CYCLE}::test_a_run_s_model_is_built_for_aws_s_own_component"
POLICY = f"{ACCOUNT}::test_a_policy_is_printed_for_the_account_that_one_is_logged_in_to"

LEVEL = """'{"my.App": {"Level": 3}}'"""
NEW_APP = "--component my.App=1.3.0"

RUN_ELSEWHERE: Mapping[str, str] = {
    # A run of other data or with other keys takes minutes. What each key changes is shown by
    # test_no_key_is_decoration, that each line makes a plan by test_docs.
    "edgeward run": OF_A_RUN,
    "edgeward run --thing hub-1": f"{CYCLE}::test_photographs_of_a_persons_own_are_deployed",
    "edgeward run --data folder:PATH": OF_A_RUN,
    "edgeward run --data folder:pictures": OF_A_RUN,
    "edgeward run --data folder:~/pictures --set epochs=30": OF_A_RUN,
    "edgeward run --data folder:pictures --set epochs=30 --set image_shape=3,48,48 --thing "
    "shed-1": f"{CYCLE}::test_photographs_of_a_persons_own_are_deployed",
    "edgeward run --data folder:pictures --targets feeder.toml": (
        f"{CYCLE}::test_a_refused_run_says_why_and_leaves_the_device_alone"
    ),
    "edgeward run --targets strict.toml --json": (
        f"{CYCLE}::test_a_refused_run_says_why_and_leaves_the_device_alone"
    ),
    "edgeward run --data folder:pictures --override data.drift": (
        f"{CYCLE}::test_an_override_is_by_name_and_is_recorded"
    ),
    "edgeward run --set driveway.drift=fog": OF_A_RUN,
    "edgeward run --set driveway.drift=night --set driveway.drift_strength=0.5": OF_A_RUN,
    "edgeward run --set device.alerts=none": OF_A_RUN,
    "edgeward run --set device.wheels_for=3.12": OF_A_RUN,
    "edgeward run --set epochs=2 --set driveway.images=350 --thing bench-1": (
        f"{CYCLE}::test_photographs_of_a_persons_own_are_deployed"
    ),
    "edgeward run --platform linux-aarch64": OTHER_CPU,
    "edgeward run --platform linux-armv7l": OTHER_CPU,
    "edgeward run --platform linux-aarch64 --set device.wheels_for=3.11": OTHER_CPU,
    "edgeward run --platform linux-aarch64 --set device.runtime=variant.DLR": OTHER_CPU,
    "edgeward public-model": PUBLIC,
    "edgeward public-model --run latest --platform linux-aarch64 --platform linux-armv7l "
    "--into store": PUBLIC,
    # A run of its own each.
    "edgeward approve RUN --by NAME --reason TEXT": (
        "tests/flows/test_going_on.py::test_an_approved_run_goes_on_with_what_it_has"
    ),
    'edgeward approve 20261125-101500-1f3a --by "Ada" --reason "seen at the front door"': (
        "tests/flows/test_going_on.py::test_an_approved_run_goes_on_with_what_it_has"
    ),
    "prefect deploy --all": (
        "tests/flows/test_operating.py"
        "::test_the_same_file_deploys_to_a_server_with_prefects_own_command"
    ),
    # An account that the tests play.
    "edgeward monitor --thing hub-1": (
        f"{ACCOUNT}::test_the_monitor_judges_what_lies_in_the_bucket"
    ),
    "edgeward rules create": f"{ACCOUNT}::test_rules_are_created_listed_and_taken_down",
    "edgeward aws calls latest": f"{ACCOUNT}::test_the_calls_of_the_latest_run_are_printed",
    "edgeward down --backend aws": (
        f"{ACCOUNT}::test_down_asks_nobody_and_removes_nothing_where_there_is_no_terminal"
    ),
    "edgeward down --backend aws --data": f"{ACCOUNT}::test_down_ends_with_what_is_left",
    **{
        f"edgeward policies --print {name}": POLICY
        for name in (
            *("pipeline", "sagemaker", "sagemaker-trust", "rules", "rules-trust", "device"),
            "device-iot",
        )
    },
}
PARSED: Mapping[str, str] = {
    "edgeward run --data caltech256 --set epochs=60 --set image_shape=3,64,64 --set num_layers=56 "
    "--thing shelf-1": "1.2 GB from another machine, and hours; tests/sources/test_caltech256.py "
    "fetches an archive of the same form, and test_docs makes the plan",
    "edgeward run --data caltech256:http://mirror.example/256_ObjectCategories.tar": "likewise",
}
OF_ANOTHER_MACHINE = ("sudo -E java ",)  # AWS's installer, on the device


@dataclass(frozen=True)
class Step:
    """A command as it is shown; `instead` makes it small, and fills in what a reader would."""

    line: str
    instead: Mapping[str, str] = field(default_factory=dict)
    until: str = ""
    """It goes on until Ctrl-C, which is pressed once it has said this (a regular expression)."""


@dataclass
class Person:
    """Somebody who types what is shown."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def does(self, step: Step) -> str:
        """Standard output; what ends with another status than 0 is a failure of the page."""
        program, *words = shlex.split(step.line)
        words = [step.instead.get(word, word) for word in words]
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / program), *words],
            cwd=PROJECT if program == "prefect" else self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            if step.until:
                return self._interrupted(process, step)
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, f"{step.line}\n{out}\n{err}"
        return out

    def _interrupted(self, process: subprocess.Popen[str], step: Step) -> str:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if re.search(step.until, line):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert re.search(step.until, seen), f"{step.line}\n{seen}{out}\n{err}"
        return seen + out


ALONE = (
    Step("edgeward run --help"),
    Step("edgeward doctor"),
    Step("edgeward doctor --thing hub-1"),
)
ONE_DEVICE = (
    Step("edgeward device status hub-1"),
    Step("edgeward results --count 20"),
    Step("edgeward results --json"),
    Step("edgeward results --follow", until="hub-1"),
    Step("edgeward results --follow --thing hub-1", until="hub-1"),
    Step("edgeward monitor"),
    Step("edgeward alerts"),
    Step("edgeward alerts --follow --thing hub-1", until="anything"),
    Step(
        "edgeward deploy thing/hub-1 --component edgeward.ImageClassification=1.0.0 "
        "--component edgeward.ImageClassification.Model=1.0.0 --merge "
        """'{"edgeward.ImageClassification": {"PicturesMayLeave": "true"}}'"""
    ),
    Step("edgeward examples fetch hub-1 --count 20"),
    Step("edgeward examples list hub-1"),
)
TWO_MODELS = (
    Step("edgeward variant start hub-1 --model 1.0.1"),
    Step("edgeward variant compare hub-1"),
    Step("edgeward variant stop hub-1"),
    Step("edgeward variant start hub-1 --model 1.0.1 --mode split --share 0.2"),
)
A_FLEET = (
    Step("edgeward device start hub-1 hub-2"),
    Step("edgeward device list"),
    Step("edgeward group add porch hub-1 hub-2"),
    Step("edgeward deploy group/porch --component edgeward.ImageClassification=1.0.0"),
    Step("edgeward device logs hub-1 --lines 20"),
    Step("edgeward device offline hub-1"),
    Step("edgeward device online hub-1"),
    Step("edgeward deploy thing/hub-1 --component my.App=1.2.0"),
    Step(f"edgeward deploy thing/hub-1 --component my.App=1.2.0 --merge {LEVEL}"),
    Step(f'edgeward deploy group/porch --component "my.App=^1.0.0" --merge {LEVEL}'),
    Step("edgeward device simulate 50 --group everything", instead={"50": "2"}),
    Step("edgeward device simulate 200 --group everything", instead={"200": "2"}),
    Step(f"edgeward deploy group/everything {NEW_APP} --rate 10 --abort 20,5 --timeout 10"),
    Step(f"edgeward deploy group/everything {NEW_APP} --exponential 5,2,10 --abort 20,5 --no-wait"),
    Step(f"edgeward deploy group/all {NEW_APP} --rate 10 --abort 20,5 --timeout 10"),
    Step(f"edgeward deploy group/all {NEW_APP} --exponential 5,2,10 --no-wait"),
    Step("edgeward deployment list"),
    Step("edgeward deployment show ID"),
    Step("edgeward deployment cancel ID"),
    Step("edgeward device stop hub-1"),
    Step("edgeward device start hub-1 --nucleus lite"),
    Step("edgeward down"),
)
OF_PREFECT = (
    Step("prefect work-pool create edgeward --type process"),
    Step("prefect worker start --pool edgeward", until="started!"),
    Step(
        """prefect deployment run cycle/manual --param plan='{"data": "folder:/data/pictures"}'"""
    ),
    Step("""prefect deployment run train/manual --param plan='{"run": "20261125-101500-1f3a"}'"""),
    Step("prefect deployment schedule pause watch/scheduled SCHEDULE-ID"),
)
STEPS = (*ALONE, *ONE_DEVICE, *TWO_MODELS, *A_FLEET, *OF_PREFECT)
MADE: Mapping[str, str] = {
    "make setup": "",  # it makes what these tests run in
    "make demo": ".venv/bin/edgeward run",
    "make test": ".venv/bin/pytest",
    "make up": ".venv/bin/edgeward up",
    "make down": ".venv/bin/edgeward down",
}
"""`make --dry-run` shows the command that each is."""


def test_no_command_is_shown_that_nobody_runs() -> None:
    known = {step.line for step in STEPS} | {*RUN_ELSEWHERE, *PARSED, *MADE}
    aws = {line for line in documented() if line.startswith(("aws ", *OF_ANOTHER_MACHINE))}

    assert documented() - aws - known == set(), "run it, or name the test that does"
    assert known - documented() == set(), "it is shown nowhere"


@pytest.mark.parametrize(("line", "test"), RUN_ELSEWHERE.items(), ids=list(RUN_ELSEWHERE))
def test_the_test_that_is_named_says_the_command_with_its_options(line: str, test: str) -> None:
    said = said_by(test)

    assert said, f"there is no {test}"
    assert essence(line) - said == set()


@pytest.mark.parametrize("line", MADE)
def test_make_does_what_the_page_says(line: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *line.split()[1:]],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert MADE[line] in done.stdout


def test_every_setting_that_is_shown_exists() -> None:
    shown = {found[1] for line in shown_lines() if (found := re.match(r"(EDGEWARD_\w+)=", line))}

    assert shown
    assert shown - set(known_variables()) == set()


@pytest.mark.parametrize("line", sorted(each for each in documented() if each.startswith("aws ")))
def test_a_command_for_aws_has_the_operation_and_parameters_of_its_api(line: str) -> None:
    from botocore import xform_name
    from botocore.session import get_session

    _, service, command, *words = shlex.split(line)
    if (service, command) in (("s3", "mb"), ("s3", "rb")):  # the CLI's own, for buckets
        assert words[0].startswith("s3://")
        return
    model = get_session().get_service_model({"s3api": "s3"}.get(service, service))
    operations = {xform_name(name, "-"): name for name in model.operation_names}

    shape = model.operation_model(operations[command]).input_shape
    assert shape is not None
    members = {xform_name(name, "-") for name in shape.members}
    needed = {xform_name(name, "-") for name in shape.required_members}
    given = {word.removeprefix("--") for word in words if word.startswith("--")} - {"region"}
    assert given <= {*members, "notification-endpoint"}
    assert needed <= given


@pytest.fixture(scope="module")
def server(prefect_server: None) -> str:
    from prefect.settings import get_current_settings

    return str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("reader")
    home = folder / "home"
    person = Person(folder, {"EDGEWARD_HOME": str(home), "PREFECT_API_URL": server})
    try:
        yield person
    finally:
        person.does(Step("edgeward down"))
        assert left_running(home) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.jobs
@pytest.mark.device
def test_what_a_reader_types_about_one_device_works(
    person: Person, device_python: Path, compile_for: Compile, tiny_model: TinyModel
) -> None:
    """The device serves a tiny model, and each picture is a hard example and an alert."""
    for step in ALONE:
        person.does(step)
    site = Site(person.home, device_python, "hub-1")
    package = package_model(compile_for("linux-x86_64"), person.folder, tiny_model.known)
    rule = {"Name": "anything", "Labels": list(CLASSES), "MinScore": 0, "Sightings": 1}
    site.deploy(package, HardExampleScore=1, Alerts=[rule])
    for step in ONE_DEVICE:
        person.does(step)
    changed = remarked(package, person.folder / "other")
    site.store.publish(model_recipe(["linux-x86_64"]), [changed])
    for step in TWO_MODELS:
        person.does(step)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_a_reader_types_about_a_fleet_works(person: Person) -> None:
    for version in ("1.0.0", "1.2.0", "1.3.0"):
        Store(person.home).add("my.App", version, {"Run": "exec sleep 1000"}, defaults={"Level": 1})
    before: Mapping[str, Callable[[], object]] = {
        A_FLEET[3].line: lambda: person.does(Step("edgeward device stop hub-2")),
        A_FLEET[14].line: lambda: person.does(Step("edgeward group add all sim-1")),
    }
    identifier = ""
    for step in A_FLEET:
        before.get(step.line, lambda: None)()
        said = person.does(replace(step, instead={**step.instead, "ID": identifier}))
        if step.line == "edgeward deployment list":
            listed = json.loads(person.does(Step("edgeward deployment list --json")))
            identifier = listed[0]["deploymentId"]
            assert identifier in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_reader_types_to_a_prefect_server_works(tmp_path: Path, server: str) -> None:
    home = str(tmp_path / "home")
    person = Person(tmp_path, {"PREFECT_API_URL": server, "EDGEWARD_HOME": home})
    for step in OF_PREFECT[:2]:
        person.does(step)
    person.does(Step("prefect deploy --all"))
    watch = httpx.get(f"{server}/deployments/name/watch/scheduled").raise_for_status().json()
    schedule = {"SCHEDULE-ID": watch["schedules"][0]["id"]}
    for step in OF_PREFECT[2:]:
        person.does(replace(step, instead=schedule))
    watch = httpx.get(f"{server}/deployments/name/watch/scheduled").raise_for_status().json()
    assert watch["schedules"][0]["active"] is False
