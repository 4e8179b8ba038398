"""The doctor names every variable that is wrong, and those that were probably meant for us."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backends.settings import PROJECT


def doctor(folder: Path, dotenv: str = "", **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """Its exit status and findings, called in a folder that has such a `.env`."""
    (folder / ".env").write_text(dotenv)
    done = subprocess.run(
        [sys.executable, "-m", "flows", "doctor", "--json"],
        env=os.environ
        | {"PYTHONPATH": str(PROJECT), "EDGEWARD_HOME": str(folder / "home")}
        | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def of(findings: list[dict[str, Any]], subject: str) -> dict[str, Any]:
    (found,) = (one for one in findings if one["subject"] == subject)
    return found


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    status, findings = doctor(tmp_path, "EDGEWARD_MQTT_PORT=1\n", EDGEWARD_AWSS__REGION="x")

    wrong = [one for one in findings if not one["healthy"]]
    assert status == 2
    assert [one["subject"] for one in wrong] == ["EDGEWARD_AWSS__REGION", "EDGEWARD_MQTT_PORT"]
    assert wrong[1]["remedy"] == "Did you mean EDGEWARD_MQTT__PORT?"


def test_a_value_that_is_impossible_is_told(tmp_path: Path) -> None:
    status, findings = doctor(
        tmp_path, EDGEWARD_MQTT__PORT="many", EDGEWARD_BACKEND__JOB_SECONDS="0"
    )

    wrong = {one["subject"] for one in findings if not one["healthy"]}
    assert status == 2
    assert wrong == {"EDGEWARD_MQTT__PORT", "EDGEWARD_BACKEND__JOB_SECONDS"}


@pytest.mark.parametrize(
    ("dotenv", "said", "remedy"),
    [
        pytest.param("EDGWARD_HOME=/x\n", "EDGWARD_HOME is not read", "EDGEWARD_HOME", id="typo"),
        pytest.param("A=1\nEDGEWARD_HOME\n", "line 2 of .env sets", "NAME=VALUE", id="no-value"),
        pytest.param("A=1\n?? !!\n", "line 2 of .env sets nothing", "NAME=VALUE", id="no-name"),
    ],
)
def test_a_line_that_is_without_effect_is_a_warning(
    tmp_path: Path, dotenv: str, said: str, remedy: str
) -> None:
    status, findings = doctor(tmp_path, dotenv)

    found = of(findings, "settings")
    assert status == 0, findings
    assert not found["healthy"]
    assert said in found["found"]
    assert remedy in found["remedy"]


def test_what_other_programs_read_is_well(tmp_path: Path) -> None:
    status, findings = doctor(tmp_path, "# ours\nEDGEWARD_MQTT__PORT=0\n\nexport AWS_REGION='x'\n")

    assert status == 0
    assert of(findings, "settings")["healthy"]


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"EDGEWARD_HOME=\xff\xfe\n")

    done = subprocess.run(
        [sys.executable, "-m", "flows", "device", "list"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("edgeward: .env: it cannot be read")
