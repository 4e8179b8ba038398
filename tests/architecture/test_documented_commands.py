"""Every command that the documentation shows is run: in a story, or by a test that is named here.

What needs an account of AWS is held to AWS's own description of its API.
"""

import re
import shlex
import subprocess
from collections.abc import Mapping

import pytest

from backends.settings import PROJECT, known_variables
from tests.architecture.documented_commands import (
    documented,
    essence,
    said_by,
    shown_lines,
)
from tests.architecture.stories import SHOWN_BATCH, STEPS

CYCLE = "tests/flows/test_cycle.py"
ACCOUNT = "tests/backends/aws/test_commands.py"
OF_A_RUN = f"{CYCLE}::test_pictures_become_a_verified_answer_of_a_device"
OTHER_CPU = f"{CYCLE}::test_a_package_for_another_cpu_is_published_and_never_called_tested"
PUBLIC = f"{CYCLE}::test_a_run_s_model_is_built_for_aws_s_own_component"
RULES = f"{ACCOUNT}::test_rules_are_created_listed_and_taken_down"
TRAINED_AGAIN = (
    "tests/flows/test_retrain.py::test_where_retraining_does_not_help_the_loop_stops_itself"
)
GROUND_TRUTH = (
    "tests/labelling/test_ground_truth.py::test_it_comes_by_the_command_line_into_the_batch"
)
POLICY = f"{ACCOUNT}::test_a_policy_is_printed_for_the_account_that_one_is_logged_in_to"

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
    "edgeward public-model --run latest --platform linux-aarch64": PUBLIC,
    "edgeward public-model --run latest --platform linux-aarch64 --platform linux-armv7l "
    "--into store": PUBLIC,
    # A run of its own each.
    "edgeward approve RUN --by NAME --reason TEXT": (
        "tests/flows/test_going_on.py::test_an_approved_run_goes_on_with_what_it_has"
    ),
    'edgeward approve 20261125-101500-1f3a --by "Ada" --reason "seen at the front door"': (
        "tests/flows/test_going_on.py::test_an_approved_run_goes_on_with_what_it_has"
    ),
    "edgeward resume 20261125-101500-1f3a --override model.recall": (
        "tests/flows/test_going_on.py"
        "::test_a_refused_run_goes_on_past_an_overridden_gate_without_doing_a_job_again"
    ),
    'edgeward retrain --force "the new camera must not wait"': TRAINED_AGAIN,
    'edgeward retrain --force "labels of the night were mended"': TRAINED_AGAIN,
    # What a person answers on a page, or on a terminal.
    "edgeward label": (
        "tests/labelling/test_page.py"
        "::test_the_command_serves_it_until_it_is_stopped_and_goes_on_later"
    ),
    'edgeward rollback --reason "it calls every cat a dog"': (
        "tests/flows/test_device_commands.py"
        "::test_where_there_is_nothing_to_go_back_to_a_rollback_says_so_and_changes_nothing"
    ),
    # An account that the tests play.
    "edgeward rules create": RULES,
    "edgeward rules create --alerts none": (
        f"{ACCOUNT}::test_alert_rules_that_cannot_be_are_refused_by_their_option"
    ),
    "edgeward rules list": RULES,
    "edgeward rules remove": RULES,
    "edgeward label export --batch BATCH": GROUND_TRUTH,
    f"edgeward label export --batch {SHOWN_BATCH}": GROUND_TRUTH,
    "edgeward label import s3://my-bucket/jobs/night/manifests/output/output.manifest --finish": (
        GROUND_TRUTH
    ),
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
    "edgeward up --thing hub-1": "tests/flows/test_operating.py starts it, for the device of that "
    "name; a second one would take minutes",
    "edgeward run --data caltech256:http://mirror.example/256_ObjectCategories.tar": "likewise",
}
OF_ANOTHER_MACHINE = ("sudo -E java ",)  # AWS's installer, on the device
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
