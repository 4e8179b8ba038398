"""The summary in the terminal says what the report says, wherever it is printed."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from backends.settings import PROJECT
from tasks.summary import print_summary
from tasks.wording import comparison, duration, figure
from tests.tasks import records
from tests.tasks.records import Record

REPORT = Path("/home/someone/projects/driveway/.edgeward/runs/20261122-181500-ab12/report.html")


def _printed(record: Record, width: int = 80, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # as a pipe is: no terminal
    print_summary(record, REPORT, Console(file=stream, width=width))
    stream.flush()
    stream.seek(0)
    return stream.read()


def _lines(text: str) -> list[str]:
    """Without the blanks that align columns."""
    return [" ".join(line.split()) for line in text.splitlines()]


def _with_results() -> Record:
    results = [records.result("a", "dog", "car"), records.result("b", "child", "child")]
    return records.deployed() | {"first_results": results}


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_pipe_gets_every_figure_and_no_colour_at_any_width(width: int) -> None:
    text = _printed(_with_results(), width)
    lines = _lines(text)

    assert "\x1b" not in text
    assert text.isascii()
    assert max(len(line) for line in text.splitlines() if "report.html" not in line) <= width
    assert "Deployed: hub-1 now runs model version 7." in text
    assert "child 75.0 % 100.0 % 4" in lines
    assert "model.accuracy passed 90.0 % >= 75.0 %" in lines
    assert "compiled.latency passed 2.31 ms <= 50 ms" in lines
    assert "Time a picture, p95 2.31 ms 5.78 ms 2.5 times as fast" in lines
    assert "Peak memory 61.4 MB 190 MB 3.1 times less" in lines
    assert "car 87.4 % dog NO" in lines
    assert "child 87.4 % child yes" in lines
    assert str(REPORT) in text
    for command in ("edgeward results --follow", "edgeward device status hub-1", "edgeward down"):
        assert command in text


def test_a_refusal_gives_its_reason_and_the_next_step_at_sixty_columns() -> None:
    text = _printed(records.refused(), 60)
    words = " ".join(text.split())

    assert "Refused: model.recall did not pass; nothing was deployed." in words
    assert "recall of child 0.500 (at least 0.700 is asked)" in words
    assert "model.recall refused child: 50.0 % >= 70.0 %" in words
    assert "Add pictures of the classes that are missed" in words
    assert "--override model.recall" in words
    assert "What the device just saw" not in text


def test_a_failure_gives_its_reason_and_no_empty_tables() -> None:
    text = _printed(records.failed_at_once())

    assert "The jobs environment is missing: no python there. Run `make setup`." in text
    assert "edgeward doctor" in text
    for heading in ("Accuracy", "Gates", "What ships", "What the device"):
        assert heading not in text


def test_what_was_not_executed_is_said() -> None:
    verified = {"executed": False, "reason": "not on this CPU", "package_mb": 4.2}
    text = _printed(records.deployed() | {"verification": verified})

    assert "not executed: not on this CPU" in text
    assert "Size of what ships 4.2 MB n/a" in _lines(text)


def test_a_terminal_gets_colours() -> None:
    stream = io.StringIO()

    print_summary(
        records.refused(),
        REPORT,
        Console(file=stream, force_terminal=True, color_system="standard", no_color=False),
    )

    assert "\x1b[1;33mRefused" in stream.getvalue()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "Kind f?r [red]?"), ("utf-8", "Kind für [red]?")],
)
def test_a_class_name_cannot_break_the_terminal(encoding: str, shown: str) -> None:
    name = "Kind für [red]\x1b"
    record = records.deployed()
    record["evaluation"]["per_class"] = {name: {"precision": 1.0, "recall": 1.0, "support": 1}}

    text = _printed(record, 80, encoding)

    assert shown in text


def test_many_classes_are_cut_to_the_weakest() -> None:
    record = records.deployed()
    record["evaluation"]["per_class"] = {
        f"class{i}": {"precision": 1.0, "recall": i / 100, "support": 3} for i in range(50)
    }

    text = _printed(record)

    assert "class11 11.0 % 100.0 % 3" in _lines(text)
    assert "class12" not in text
    assert "and 38 more classes with a higher recall" in text


def test_the_summary_loads_nothing_heavy() -> None:
    code = "import sys, tasks.summary; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert {"prefect", "mlflow", "great_expectations"}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "n/a"),
        (True, "", "yes"),
        (0, "", "0"),
        (12345, "", "12,345"),
        (1.8e-7, "", "1.8e-07"),
        (0.9123, "share", "91.2 %"),
        (-0.0214, "points", "-2.1 points"),
        (2.314, "ms", "2.31 ms"),
        (float("nan"), "ms", "nan"),
        ([], "", "none"),
        (["a"] * 9, "", "a, a, a, a, a, a and 3 more"),
        ({"child": 0.5}, "share", "child: 50.0 %"),
    ],
)
def test_figures_read_as_people_write_them(value: object, unit: str, text: str) -> None:
    assert figure(value, unit) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (12.2, "12 s"), (200, "3 min 20 s"), (3900, "1 h 5 min"), (None, "n/a")],
)
def test_durations_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_slower_compiled_model_is_called_slower() -> None:
    assert comparison(4.0, 2.0, "as fast", "as slow") == "2.0 times as slow"
    assert comparison(2.0, 2.01, "as fast", "as slow") == "about the same"
    assert comparison(2.0, None, "as fast", "as slow") == ""


@pytest.mark.parametrize(
    ("status", "says", "command"),
    [
        pytest.param(
            "waiting",
            "Waiting: model version 7 may go to hub-1 once a person approves it.",
            "edgeward approve 20261122-181500-ab12 --by NAME --reason TEXT --refuse",
            id="waiting",
        ),
        pytest.param(
            "open",
            "Open: train is done; evaluate goes on from here.",
            "edgeward resume 20261122-181500-ab12",
            id="open",
        ),
    ],
)
def test_a_run_that_can_go_on_says_how(status: str, says: str, command: str) -> None:
    reason = "train is done; evaluate goes on from here"
    unfinished = {"status": status, "reason": reason, "run_id": "20261122-181500-ab12"}

    text = _printed(records.deployed() | unfinished, 120)

    assert says in text
    assert command in text
    assert "stopped" not in text
