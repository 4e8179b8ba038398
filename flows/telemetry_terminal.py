"""What the commands about devices' messages do with a terminal."""

import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from backends.errors import InvalidInputError
from backends.settings import load_settings

_REASONS = 10
_MEGABYTE = 1_000_000


def show_telemetry(days: int, as_json: bool) -> None:
    """How much there is, what came, and what was wrong with it."""
    from backends.local.telemetry import counts_of, reasons_of, sizes_of

    settings = load_settings()
    if settings.backend.kind != "local":
        raise InvalidInputError(
            "telemetry show",
            "an account counts nothing of this",
            "Ask its tables: `edgeward telemetry ddl` makes them known to Athena.",
        )
    root = settings.root / "cloud"
    sizes, counts, reasons = sizes_of(root), counts_of(root, days), reasons_of(root, days)
    things = _by_thing(counts)
    if as_json:
        document = {
            "tables": {
                table: {"files": files, "bytes": size, "days": held}
                for table, (files, size, held) in sizes.items()
            },
            "things": things,
            "reasons": reasons,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    for table, (files, size, held) in sizes.items():
        print(f"{table:<12} {files:>7} files  {size / _MEGABYTE:>9.1f} MB  {held:>4} days")
    for thing, counted in things.items():
        print(f"\n{thing}: {_in_words(counted)}")
        if counted["clock"]:
            print(f"  its clock is {counted['clock']}: set it, or see what holds it up")
    if reasons:
        print("\nset aside (cloud/quarantine/ has the messages):")
        for reason, count in list(reasons.items())[:_REASONS]:
            print(f"  {count:>6}  {reason}")


def compact_telemetry(as_json: bool) -> None:
    """One night's work, now."""
    from flows.console import show_our_lines
    from flows.keep_telemetry import in_words, keep_telemetry

    show_our_lines()
    done = keep_telemetry()
    if as_json:
        sys.stdout.write(json.dumps(done.to_dict(), indent=2) + "\n")
    else:
        print(in_words(done))


def print_ddl() -> None:
    """For Athena, with the account's bucket and prefix."""
    from backends.telemetry.athena import ddl

    aws = load_settings().aws
    if not aws.bucket:
        raise InvalidInputError("EDGEWARD_AWS__BUCKET", "no bucket is set", "Name the account's.")
    sys.stdout.write(ddl(aws.prefix.replace("-", "_"), aws.bucket, aws.prefix))


def answer_query(sql: str, as_csv: bool, as_json: bool) -> None:
    """Rows as a table for people, as CSV, or as a JSON object a line."""
    from backends.telemetry.queries import ask

    settings = load_settings()
    if settings.backend.kind != "local":
        raise InvalidInputError(
            "query",
            "it reads what devices of this machine reported",
            "Ask Athena for an account's.",
        )
    if as_csv and as_json:
        raise InvalidInputError("--csv", "it excludes --json", "Take one of them.")
    answer = ask(settings.root / "cloud", sql)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_plain(value) for value in row] for row in answer.rows)
    elif as_json:
        for row in answer.rows:
            named = dict(zip(answer.columns, map(_plain, row), strict=True))
            sys.stdout.write(json.dumps(named) + "\n")
    else:
        _print_table(answer.columns, [[_shown(value) for value in row] for row in answer.rows])


def _print_table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _by_thing(counts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Counts of the days added up; the clock is that of the last day that tells."""
    things: dict[str, dict[str, Any]] = {}
    for day in counts.values():
        for thing, counted in sorted(day.items()):
            before = things.setdefault(thing, {"clock": ""})
            for name, value in asdict(counted).items():
                if name == "lag_s":
                    continue
                before[name] = _plus(before.get(name), value)
            if counted.lag_s:
                before["clock"] = counted.clock
    return dict(sorted(things.items()))


def _plus(before: Any, more: Any) -> Any:
    if before is None:
        return more
    if isinstance(more, dict):
        return {name: before.get(name, 0) + more.get(name, 0) for name in {**before, **more}}
    return before + more


def _in_words(counted: Mapping[str, Any]) -> str:
    stored = ", ".join(f"{count} {table}" for table, count in sorted(counted["stored"].items()))
    wrong = {
        "came twice": counted["repeated"],
        "came late": counted["late"],
        "out of order": counted["out_of_order"],
        "count for nothing": counted["unusable"],
        **{f"set aside ({kind})": count for kind, count in counted["set_aside"].items()},
    }
    told = [f"{count} {what}" for what, count in wrong.items() if count]
    return "; ".join([stored or "nothing stored", *told])


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _shown(value: Any) -> str:
    plain = _plain(value)
    return "" if plain is None else str(plain)
