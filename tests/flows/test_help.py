"""`--help` of every command says what it does, shows how, and explains each option."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from backends.settings import PROJECT
from flows.__main__ import app
from tests.command_line import edgeward


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield " ".join((*path, name)), command
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(typer.main.get_command(app)))
LEAVES = {name: command for name, command in ALL.items() if not hasattr(command, "commands")}


@pytest.mark.parametrize("name", ALL)
def test_the_first_line_is_one_sentence(name: str) -> None:
    first = ALL[name].help.splitlines()[0]

    assert first[0].isupper()
    assert first.endswith(".")
    assert len(first) <= 100


@pytest.mark.parametrize("name", LEAVES)
def test_each_command_shows_an_example_of_itself_that_is_understood(name: str) -> None:
    text = LEAVES[name].help

    assert re.search(r"^Examples?:$", text, re.MULTILINE)
    examples = re.findall(rf"^\s+edgeward {name}(?: .*)?$", text, re.MULTILINE)
    assert examples
    for example in examples:
        words = subprocess.run(  # the shell's own reading of it
            ["bash", "-c", f"printf '%s\\n' {example.strip()}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[1 + len(name.split()) :]
        LEAVES[name].make_context(name, words)


@pytest.mark.parametrize("name", LEAVES)
def test_each_option_and_argument_is_explained(name: str) -> None:
    silent = [option.name for option in LEAVES[name].params if not option.help]

    assert silent == []


def test_help_shows_the_examples_and_the_defaults() -> None:
    shown = edgeward("run", "--help", COLUMNS="100", NO_COLOR="1").stdout

    assert "edgeward run --data folder:~/pictures --set epochs=30" in shown
    assert "[default: linux-x86_64]" in shown
    assert "[default: hub-1]" in shown


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_help_fits_the_terminal(columns: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows", "--help"],
        env=os.environ | {"TERMINAL_WIDTH": str(columns), "NO_COLOR": "1"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert max(map(len, done.stdout.splitlines())) <= columns
