"""What the documentation says is what the code has: keys, defaults, commands, links."""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

import pytest
import typer
import yaml
from pydantic import BaseModel

from backends.settings import PROJECT, Settings
from backends.telemetry.schema import SCHEMAS
from backends.telemetry.schema import TABLES as COLUMNS_OF
from edge.contract import DEFAULT_CONFIGURATION
from edge.statistics import Summary
from flows.__main__ import app
from flows.plan import GATES, TABLES, make_plan
from tasks.business_understanding import Targets
from tasks.manifest import COLUMNS
from tasks.monitor_report import MonitorReport
from tasks.recipes import challenger_recipe, inference_recipe, model_recipe, runtime_recipe
from tasks.recording import EMPTY

PAGES = [
    PROJECT / "README.md",
    PROJECT / "CHANGELOG.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
]
REFERENCE = (PROJECT / "docs" / "reference.md").read_text(encoding="utf-8")
TELEMETRY = (PROJECT / "docs" / "telemetry.md").read_text(encoding="utf-8")
GUIDE = (PROJECT / "docs" / "guide.md").read_text(encoding="utf-8")
_CODE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
_PLACEHOLDER = re.compile(r"…|<[a-z-]+>|\bNAME\b|\bPATH\b|\bGATE\b")


def section(title: str) -> str:
    """The text below a heading of the reference, down to the next one of any level."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", REFERENCE, re.MULTILINE | re.DOTALL
    )
    assert found, f"the reference has no section {title!r}"
    return found[1]


def documented(title: str) -> dict[str, str]:
    """First column (without back-ticks) to second column, of the tables below a heading."""
    rows = [re.split(r"\s*(?<!\\)\|\s*", line.strip("|").strip()) for line in _rows(section(title))]
    return {name.strip("` "): row[1] for row in rows for name in row[0].split(", ")}


def _rows(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("| `"):
            yield line


def shown(value: Any) -> str:
    """A default as the reference writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path) and value.is_relative_to(PROJECT):
        return f"`{value.relative_to(PROJECT)}`"
    text = getattr(value, "get_secret_value", lambda: value)()
    return "empty" if text in ("", (), {}) else f"`{text}`"


def leaves(model: type[BaseModel], prefix: str, separator: str) -> dict[str, str]:
    """Every key of a model and of the models in it, with its default as the reference writes it."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and get_origin(inner) is None and issubclass(inner, BaseModel):
            found |= leaves(inner, f"{prefix}{name}{separator}", separator)
        else:
            found[prefix + name] = shown(field.get_default(call_default_factory=True))
    return found


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def shown_command_lines() -> Iterator[tuple[str, str]]:
    """(page, command line) of every `edgeward …` in code blocks and in code within the text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(_CODE.findall(text)).splitlines()
        inline = re.findall(r"`([^`\n]+)`", _CODE.sub("", text))
        for code in (*blocks, *inline):
            line = code.strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if line.startswith("edgeward "):
                yield page.name, line


LINES = sorted(set(shown_command_lines()))


def parse(line: str) -> Mapping[str, Any]:
    """Let the command line parse it: its parameters. Raises what it raises."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands") or words == ["--help"]:
        assert words in ([], ["--help"]), f"there is no command {words}"
        return {}
    needs_name = any(each.param_type_name == "argument" for each in command.params)
    if needs_name and not words:
        return {}  # the command's name alone, in a sentence
    parameters: Mapping[str, Any] = command.make_context(command.name, words).params
    return parameters


def test_every_setting_is_documented_with_its_default() -> None:
    settings = {
        f"EDGEWARD_{name.upper()}": default for name, default in leaves(Settings, "", "__").items()
    }

    assert documented("Settings") == settings


def test_every_target_is_documented_with_its_default() -> None:
    assert documented("Targets") == leaves(Targets, "", ".")


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("Hyperparameters", "training"),
        ("Split", "split"),
        ("Driveway", "driveway"),
        ("Device", "device"),
    ],
)
def test_every_key_of_set_is_documented_with_its_default(title: str, table: str) -> None:
    prefix = "" if table == "training" else f"{table}."

    assert documented(title) == leaves(TABLES[table], prefix, ".")


def test_no_table_of_set_is_left_out() -> None:
    assert set(TABLES) == {"training", "split", "driveway", "device"}


def test_every_key_of_the_components_is_documented_with_its_default() -> None:
    runtime = runtime_recipe()["ComponentConfiguration"]["DefaultConfiguration"]
    known = {name: shown(value) for name, value in {**DEFAULT_CONFIGURATION, **runtime}.items()}
    known["accessControl"] = (
        "publish on `ml/dlr/image-classification` and `edgeward/*`, "
        "subscribe to `edgeward/+/commands`, publish locally on `edgeward/alerts`"
    )

    assert documented("Configuration") == known
    assert {
        (operation.partition("#")[2], resource)
        for policies in DEFAULT_CONFIGURATION["accessControl"].values()
        for policy in policies.values()
        for operation in policy["operations"]
        for resource in policy["resources"]
    } == {
        ("PublishToIoTCore", "ml/dlr/image-classification"),
        ("PublishToIoTCore", "edgeward/*"),
        ("SubscribeToIoTCore", "edgeward/+/commands"),
        ("PublishToTopic", "edgeward/alerts"),
    }


def test_every_gate_is_in_the_reference_and_in_the_guide() -> None:
    assert list(documented("Gates")) == list(GATES)
    assert [gate for gate in GATES if f"| `{gate}` |" not in GUIDE] == []


def test_every_key_of_the_run_record_is_documented() -> None:
    keys = {"run_id", "versions", "started_at", *EMPTY, *_noted_keys(), *_keys_at_the_start()}

    assert set(documented("Run record")) == keys


def test_every_component_is_documented() -> None:
    recipes = (
        model_recipe(["linux-x86_64"]),
        challenger_recipe(["linux-x86_64"]),
        runtime_recipe(),
        inference_recipe(),
    )

    assert {recipe["ComponentName"] for recipe in recipes} == set(documented("Components"))


def test_every_command_and_option_is_documented() -> None:
    described = {
        (" ".join(path), option.opts[0])
        for path, command in commands(typer.main.get_command(app))
        for option in command.params
        if option.param_type_name == "option"
    }
    rows = {line.split("|")[1].strip(): line for line in _rows(section("Command line"))}

    listed = {
        (code.split("`")[1].removeprefix("edgeward "), option)
        for code, line in rows.items()
        if code.startswith("`edgeward ")
        for option in re.findall(r"`(--[a-z]+)`", line)
    }

    assert listed == described


def test_every_make_target_is_documented() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    rules = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))

    assert {name.removeprefix("make ") for name in documented("Make targets")} == rules


def test_every_column_of_a_parquet_file_is_documented() -> None:
    stored = {name for schema in SCHEMAS.values() for name in schema.names}
    text = section("Results, statistics, heartbeats, alerts") + TELEMETRY

    assert set(documented("Manifest")) == set(COLUMNS)
    assert [name for name in sorted(stored) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("table", list(COLUMNS_OF))
def test_the_schema_of_a_table_is_documented_as_it_is(table: str) -> None:
    text = TELEMETRY.partition(f"\n### {table.capitalize()}\n")[2].partition("\n#")[0]

    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == list(schema_rows(table))


def schema_rows(table: str) -> Iterator[str]:
    """The columns of a table as docs/telemetry.md lists them."""
    for column in COLUMNS_OF[table]:
        kind = str(column.type).replace("child 0, item: ", "").replace("element: ", "")
        yield f"| `{column.name}` | {kind} | {column.meaning} |"


def test_the_example_of_a_statistics_message_has_all_its_keys() -> None:
    summary = Summary("1.0.0", "2026-11-22T19:27:28Z").to_dict()

    example = _CODE.search(section("Statistics"))

    assert example
    shown_keys = set(yaml.safe_load(example[1]))
    assert shown_keys == {*summary, "thing", "message_id"}


def test_every_field_of_a_monitor_report_is_documented() -> None:
    text = section("Command line")

    assert [name for name in MonitorReport.__dataclass_fields__ if f"`{name}`" not in text] == []


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_line_that_is_shown_is_understood(page: str, line: str) -> None:
    parameters = parse(line)

    settings: Sequence[str] = parameters.get("settings") or ()
    gates: Sequence[str] = parameters.get("override") or ()
    if (settings or gates) and not _PLACEHOLDER.search(line):
        platform, thing = str(parameters["platform"]), str(parameters["thing"])
        make_plan(str(parameters["data"]), None, platform, thing, settings, gates, "")


def test_command_lines_are_shown_at_all() -> None:
    assert {"README.md", "guide.md", "reference.md", "data.md"} <= {page for page, _ in LINES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))

    broken = [link for link in _LINK.findall(text) if ":" not in link and not _leads(page, link)]

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_reached_from_the_readme(page: Path) -> None:
    assert page in _reachable(PROJECT / "README.md")


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    """The anchors that a Git host gives to headings."""
    titles = re.findall(r"^#+ (.+)$", _CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def _reachable(start: Path) -> set[Path]:
    """Pages that one can get to by links; a link to a folder shows all that is in it."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        page = waiting.pop().resolve()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        if page.is_dir():
            waiting += page.glob("*.md")
        elif page.suffix == ".md":
            links = _LINK.findall(page.read_text(encoding="utf-8"))
            waiting += [page.parent / link.partition("#")[0] for link in links if ":" not in link]
    return seen


def _noted_keys() -> set[str]:
    """Names of the sections that `note(run, …)` sets, anywhere."""
    return {
        keyword.arg
        for folder in ("flows", "tasks")
        for path in (PROJECT / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "note"
        for keyword in node.keywords
        if keyword.arg
    }


def _keys_at_the_start() -> set[str]:
    """What the cycle writes into the record as it opens it."""
    tree = ast.parse((PROJECT / "flows" / "cycle.py").read_text(encoding="utf-8"))
    (about,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "about"]
    (returned,) = [node.value for node in ast.walk(about) if isinstance(node, ast.Return)]
    assert isinstance(returned, ast.Dict)
    return {key.value for key in returned.keys if isinstance(key, ast.Constant)}  # type: ignore[misc]
