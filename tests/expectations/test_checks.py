"""Great Expectations decides; what it says arrives whole, in words, and stays on this machine."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from backends.settings import PROJECT
from expectations import device_windows, drift, labels, manifest
from expectations.check import Check
from expectations.checks import Table, run_checks

CLASSES = pd.DataFrame(
    {"label": ["cat", "dog"], "images": [9, 1], "share": [1.8, 0.2], "matters": ["yes", "no"]}
)


def _by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_check_names_the_rows_that_broke_it_and_their_values(tmp_path: Path) -> None:
    table = Table("classes", CLASSES, labels.suite(3, 0.1), "label")

    checks, index = run_checks([table], tmp_path / "docs", "Classes")

    found = _by_name(checks)
    assert [name for name, check in found.items() if not check.passed] == ["enough pictures"]
    assert found["enough pictures"].unexpected == (("dog", 1),)
    assert found["enough pictures"].gate == "data.labels"
    assert "Every class has at least 3 pictures" in index.read_text()
    assert "dog (1)" in index.read_text()


def test_a_check_that_cannot_be_computed_does_not_pass(tmp_path: Path) -> None:
    rows = CLASSES.drop(columns="images")

    checks, _ = run_checks([Table("classes", rows, labels.suite(3, 0.1), "label")], tmp_path, "")

    broken = _by_name(checks)["enough pictures"]
    assert broken.passed is False
    assert "images" in str(broken.observed)


def test_informative_checks_are_marked_as_such(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "window": ["noon", "one"],
            "model_version": ["1.0.0", "9.9.9"],
            "pictures": [3, 0],
            "unreadable": [0, 0],
        }
    )
    suite = device_windows.windows_suite(["1.0.0"])

    checks, _ = run_checks([Table("windows", rows, suite, "window")], tmp_path / "docs", "")

    assert [(check.informative, check.unexpected) for check in checks] == [
        (True, (("one", "9.9.9"),)),
        (True, (("one", 0),)),
    ]


@pytest.mark.parametrize(
    ("shares", "passed"), [({"a": 0.5, "b": 0.5}, True), ({"a": 0.9, "b": 0.1}, False)]
)
def test_the_label_mix_is_judged_by_great_expectations_own_divergence(
    tmp_path: Path, shares: dict[str, float], passed: bool
) -> None:
    rows = pd.DataFrame({"path": [f"{n}.png" for n in range(40)], "label": ["a", "b"] * 20})
    table = Table("label-mix", rows, drift.labels_suite(shares, 0.1), "path")

    checks, _ = run_checks([table], tmp_path / "docs", "")

    assert [check.passed for check in checks] == [passed]


def test_what_is_shown_is_escaped(tmp_path: Path) -> None:
    rows = CLASSES.assign(label=["cat", "<b>dog</b>"])

    _, index = run_checks(
        [Table("classes", rows, labels.suite(3, 0.1), "label")], tmp_path / "docs", "<i>"
    )

    assert "<b>dog" not in index.read_text()
    assert "&lt;b&gt;dog" in index.read_text()


def test_pages_that_cannot_be_built_leave_the_earlier_ones_alone(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    table = Table("classes", CLASSES, labels.suite(3, 0.1), "label")
    _, index = run_checks([table], docs, "first")
    twice = [
        Table("classes", CLASSES, labels.suite(3, 0.1), "label"),
        Table("classes", CLASSES, labels.suite(3, 0.1), "label"),
    ]

    with pytest.raises(Exception, match="classes"):  # a name that is taken
        run_checks(twice, docs, "second")

    assert "first" in index.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_a_manifest_suite_knows_every_kind_that_is_handled() -> None:
    from edge.pictures import HANDLED

    assert set(manifest.HANDLED) == set(HANDLED)


def test_great_expectations_is_imported_with_telemetry_off_and_without_the_network() -> None:
    program = (
        "import os, socket\n"
        "def refuse(*_): raise SystemExit('it used the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import expectations\n"
        "print(os.environ['GX_ANALYTICS_ENABLED'])"
    )
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "GX_ANALYTICS_ENABLED": "true"},
        cwd=PROJECT,
    )

    assert said.stdout.split() == ["false"], said.stderr
