"""Commands and make targets, from the Typer app and the Makefile; prices of instances."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from backends.cost import USD_PER_HOUR
from backends.settings import PROJECT
from docs.generate.tables import code, table, value
from flows.__main__ import app


def commands() -> str:
    """Every command with its arguments, options and examples, in the order of the app."""
    return "\n\n".join(_command(path, command) for path, command in walk())


def make_targets() -> str:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    told = re.findall(r"^([a-z-]+):[^#\n]*## (.*)$", makefile, re.MULTILINE)
    return table(("target", "does"), [(code(f"make {name}"), text) for name, text in told])


def prices() -> str:
    """What instances for training cost, as the estimate reckons."""
    return table(("instance", "USD an hour"), [(code(k), str(v)) for k, v in USD_PER_HOUR.items()])


PARTS = {"commands": commands, "make-targets": make_targets, "prices": prices}


def walk() -> Iterator[tuple[str, Any]]:
    """Every command with its path, as in `device start`; by name."""
    yield from sorted(_below(typer.main.get_command(app), ()), key=lambda found: found[0])


def _below(group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:  # the group is a command, too
                yield " ".join((*path, name)), command
            yield from _below(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def _command(path: str, command: Any) -> str:
    text, examples = _help(command)
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    heading = " ".join([f"### {code(f'edgeward {path}')}", *map(_usage, arguments)])
    parts = [heading, text]
    if rows := [*map(_argument, arguments), *map(_option, options)]:
        parts.append(table(("argument", "default", "meaning"), rows))
    if examples:
        parts.append("```\n" + "\n".join(examples) + "\n```")
    return "\n\n".join(parts)


def _help(command: Any) -> tuple[str, list[str]]:
    """The docstring as Markdown, and its examples."""
    text, _, examples = re.sub(r"\nExamples?:\n", "\f", inspect.cleandoc(command.help)).partition(
        "\f"
    )
    return text.strip(), [line.strip() for line in examples.splitlines() if line.strip()]


def _argument(argument: Any) -> tuple[str, str, str]:
    default = "needed" if argument.required else value(argument.default)
    return code(_usage(argument)), default, argument.help or ""


def _usage(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: Any) -> tuple[str, str, str]:
    names = ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    metavar = "" if option.is_flag or not option.metavar else f" {code(option.metavar)}"
    default = "needed" if option.required else _default(option.default)
    return names + metavar, default, option.help or ""


def _default(given: Any) -> str:
    """An option without a default, or that is off, says nothing."""
    return "" if given in (None, False, "", []) else code(given) if given is not True else "on"
