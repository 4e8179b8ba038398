"""The command line answers at once, and says clearly what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends.settings import PROJECT
from tests.command_line import edgeward

HEAVY = {
    "prefect",
    "great_expectations",
    "mlflow",
    "pandas",
    "numpy",
    "amqtt",
    "awscrt",
    "sagemaker",
}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["run", "--help"], id="help-of-run"),
        pytest.param(["doctor"], id="doctor"),
    ],
)
def test_imports_nothing_heavy_to_answer_at_once(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['edgeward', *sys.argv[1:]]\n"
        "from flows.__main__ import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )

    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"EDGEWARD_HOME": str(tmp_path)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert HEAVY.isdisjoint(answer.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        pytest.param(["run", "--set", "epoch=3"], "epochs", id="a-near-hyperparameter"),
        pytest.param(["run", "--data", "folder:/no/such"], "/no/such", id="no-such-folder"),
        pytest.param(["device", "status", "nobody"], "nobody", id="no-such-device"),
    ],
)
def test_wrong_usage_is_named_and_leaves_nothing_running(
    arguments: list[str], names: str, tmp_path: Path
) -> None:
    answer = edgeward(*arguments, EDGEWARD_HOME=str(tmp_path))

    assert answer.returncode == 2, answer.stderr
    assert names in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("command", "names", "remedy"),
    [
        pytest.param("device status", "nobody", "edgeward device list", id="device"),
        pytest.param("device logs", "nobody", "edgeward device list", id="logs"),
        pytest.param("results --thing", "nobody", "edgeward device list", id="results"),
        pytest.param("alerts --thing", "nobody", "edgeward device list", id="alerts"),
        pytest.param("examples list", "nobody", "edgeward device list", id="examples"),
        pytest.param("group add porch", "nobody", "edgeward device list", id="group"),
        pytest.param("deployment show", "no-id", "edgeward deployment list", id="deployment"),
        pytest.param("deploy --component a=1", "porch", "Write thing/NAME", id="target"),
        pytest.param("deploy thing/a --component", "a", "NAME=VERSION", id="version"),
        pytest.param("public-model --run", "no-run", "runs", id="model-of-a-run"),
        pytest.param("policies --print", "admin", "Take one of", id="policy"),
    ],
)
def test_an_error_names_the_thing_and_the_next_step(
    tmp_path: Path, command: str, names: str, remedy: str
) -> None:
    answer = edgeward(*command.split(), names, EDGEWARD_HOME=str(tmp_path))

    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.startswith("edgeward: ")
    assert names in answer.stderr
    assert remedy in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_misspelt_setting_is_named() -> None:
    answer = edgeward("results", EDGEWARD_MQTT__PROT="1")

    assert answer.returncode == 2
    assert "Did you mean EDGEWARD_MQTT__PORT?" in answer.stderr


def test_doctor_names_what_is_missing_and_the_remedy(tmp_path: Path) -> None:
    answer = edgeward(
        "doctor",
        "--json",
        EDGEWARD_HOME=str(tmp_path),
        EDGEWARD_BACKEND__JOBS_PYTHON=str(tmp_path / "nowhere"),
    )

    found = [one for one in json.loads(answer.stdout) if one["needed"]]
    missing = [finding for finding in found if not finding["healthy"]]
    assert [finding["subject"] for finding in missing] == ["jobs environment"]
    assert "make setup" in missing[0]["remedy"]
    assert answer.returncode == 4


def test_down_with_nothing_running_says_so(tmp_path: Path) -> None:
    answer = edgeward("down", EDGEWARD_HOME=str(tmp_path))

    assert answer.returncode == 0
    assert "nothing was running" in answer.stderr
