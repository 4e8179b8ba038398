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

    missing = [finding for finding in json.loads(answer.stdout) if not finding["healthy"]]
    assert [finding["subject"] for finding in missing] == ["jobs environment"]
    assert "make setup" in missing[0]["remedy"]
    assert answer.returncode == 4


def test_down_with_nothing_running_says_so(tmp_path: Path) -> None:
    answer = edgeward("down", EDGEWARD_HOME=str(tmp_path))

    assert answer.returncode == 0
    assert "nothing was running" in answer.stderr
