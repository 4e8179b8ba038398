"""What people ask of the telemetry store on the command line, and what a night's work does."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from backends.connect import statistics_store
from backends.errors import InvalidInputError
from backends.local.cloud.quarantine import Quarantine
from backends.local.cloud.rules import apply
from backends.local.cloud.tables import Tables
from backends.settings import PROJECT, load_settings
from backends.telemetry.arrivals import Arrivals
from backends.telemetry.athena import ddl
from backends.telemetry.queries import ask
from backends.telemetry.schema import SCHEMAS
from edge.contract import encode, statistics_message, statistics_topic
from flows import baseline_commands
from flows.telemetry_terminal import answer_query, compact_telemetry, show_telemetry
from tasks.drift.baseline import load_baseline
from tests.tasks.windows import NOON, baseline, seen

DAY = f"{NOON:%Y-%m-%d}"


def fill(home: Path, at: datetime = NOON) -> None:
    """Three windows of two devices, each in a file of its own."""
    tables = Tables(home / "cloud")
    for number, thing in enumerate(("hub-1", "hub-2", "hub-1")):
        message = encode(statistics_message(thing, seen(5, number, hour=number).to_dict()))
        tables.add(apply(statistics_topic(thing), message, at + timedelta(seconds=number)))
        tables.flush()
    tables.close()


def rows(home: Path, sql: str) -> list[Any]:
    return list(ask(home / "cloud", sql).rows)


def test_a_question_is_answered_from_columns_lists_labels_and_folders(tmp_path: Path) -> None:
    fill(tmp_path)

    found = rows(
        tmp_path,
        "SELECT thing, date, sum(count), sum(list_sum(brightness_bins)), "
        "sum(list_sum(map_values(labels))) FROM statistics GROUP BY ALL ORDER BY ALL",
    )

    assert found == [("hub-1", DAY, 10, 10, 10), ("hub-2", DAY, 5, 5, 5)]
    assert rows(tmp_path, "SELECT count(*) FROM results") == [(0,)]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM statistics", "nothing"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM '/etc/passwd'", "passwd"),
        ("SELECT * FROM connection", "does not exist"),
        ("COPY (SELECT 1) TO 'out.csv'", "only one SELECT"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'", "disabled"),
        ("SELECT 1; SELECT 2", "only one SELECT"),
        ("SET enable_external_access = true", "only one SELECT"),
        ("CREATE TABLE mine AS SELECT 1", "only one SELECT"),
        ("ATTACH 'out.db'", "only one SELECT"),
        ("", "only one SELECT"),
    ],
)
def test_what_is_no_question_about_the_tables_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidInputError, match=words) as refused:
        rows(tmp_path, sql)

    assert "DESCRIBE statistics" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_answers_are_printed_as_a_table_as_csv_and_as_json(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    sql = "SELECT thing, received_at, labels, 7 AS n FROM statistics ORDER BY received_at LIMIT 1"

    answer_query(sql, as_csv=False, as_json=False)
    table = capsys.readouterr().out
    answer_query(sql, as_csv=True, as_json=False)
    head, row = csv.reader(io.StringIO(capsys.readouterr().out))
    answer_query(sql, as_csv=False, as_json=True)
    named = json.loads(capsys.readouterr().out)

    assert "hub-1" in table
    assert (head, row[0], row[3]) == (["thing", "received_at", "labels", "n"], "hub-1", "7")
    assert (named["thing"], named["n"], sum(named["labels"].values())) == ("hub-1", 7, 5)
    assert named["received_at"] == "2026-11-22T12:00:00"


def test_the_questions_in_the_documentation_are_answered(tmp_path: Path) -> None:
    fill(tmp_path)
    text = (PROJECT / "docs" / "how-to" / "telemetry.md").read_text()
    shown = [line.split('"')[1] for line in text.splitlines() if line.startswith("edgeward query")]

    assert len(shown) == 4
    for sql in shown:
        rows(tmp_path, sql)


def test_athenas_statements_have_every_column_and_are_parsed_as_athenas() -> None:
    statements = sqlglot.parse(ddl("edgeward", "bucket", "edgeward"), read="athena")
    text = (PROJECT / "docs" / "how-to" / "telemetry.md").read_text()
    question = text.partition("```sql\n")[2].partition("```")[0]

    for statement, table in zip(statements, ("results", "statistics"), strict=True):
        assert statement is not None
        assert statement.find(sqlglot.exp.Table).name == table
        columns = {column.name for column in statement.find_all(sqlglot.exp.ColumnDef)}
        assert columns == {*SCHEMAS[table].names, "date"}
    assert sqlglot.parse_one(question, read="athena").find(sqlglot.exp.Table).name == "statistics"


def test_the_summary_says_who_reported_what_and_what_was_wrong(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    arrivals, now = Arrivals(home / "cloud" / "arrivals"), datetime.now(UTC)
    behind = encode({"sent_at": (now - timedelta(hours=2)).isoformat()})
    arrivals.stored("heartbeats", apply("edgeward/hub-1/heartbeat", behind, now).row, now)
    arrivals.repeated("hub-1", now)
    arrivals.set_aside("hub-1", "malformed", now)
    arrivals.flush(now, at_once=True)
    Quarantine(home / "cloud" / "quarantine").add("edgeward/hub-1/alerts", b"?", "not JSON", now)

    show_telemetry(7, as_json=False)
    text = capsys.readouterr().out
    show_telemetry(7, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert "hub-1: 1 heartbeats; 1 came twice; 1 came late; 1 set aside (malformed)" in text
    assert "its clock is 7200 s behind" in text
    assert "1  not JSON" in text
    assert document["tables"]["statistics"]["files"] == 3
    assert document["reasons"] == {"not JSON": 1}
    assert document["things"]["hub-1"]["repeated"] == 1


@pytest.mark.usefixtures("prefect_server")
def test_a_nights_work_leaves_few_files_no_old_day_and_the_same_windows(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    fill(home, now - timedelta(days=2))
    old = home / "cloud" / "statistics" / f"date={(now - timedelta(days=401)).date()}"
    (old / "thing=hub-1").mkdir(parents=True)

    compact_telemetry(as_json=True)

    done = json.loads(capsys.readouterr().out)
    assert (done["folders"], done["files"]) == (1, 2)
    assert done["removed"] == [f"statistics/{old.name.removeprefix('date=')}"]
    (table,) = statistics_store(load_settings()).windows("hub-1", "")
    assert len(table) == 2


def test_a_baseline_goes_out_and_comes_back(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline(home, seen(200, 7))

    baseline_commands.export("1.0.0", tmp_path / "out")
    file = Path(capsys.readouterr().out.splitlines()[0])
    with pytest.raises(InvalidInputError, match="--replace"):
        baseline_commands.take(file, "1.0.0")
    baseline_commands.take(file, "2.0.0")

    before, after = (load_baseline(home / "baselines", v) for v in ("1.0.0", "2.0.0"))
    assert before is not None
    assert after is not None
    assert after.together.features == before.together.features
    assert after.together.labels == before.together.labels
    with pytest.raises(InvalidInputError, match="no version"):
        baseline_commands.take(file, "../2.0.0")
    with pytest.raises(InvalidInputError, match="has no baseline"):
        baseline_commands.export("9.9.9", tmp_path / "out")
