"""An alarm begins once, lasts without repeating itself, and ends once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from tasks.drift.alarms import (
    Change,
    Finding,
    Kind,
    Look,
    State,
    advance,
    read_state,
    write_state,
)
from tasks.drift.scopes import Scope, of_thing

HUB = of_thing("hub-1")


def look(
    hour: int, *broken: str, version: str = "1.0.0", raw: float = 0.0, kind: Kind = "drift"
) -> Look:
    """A look at an hour of pictures: brightness and contrast, some of them beyond the limit."""
    checks = dict.fromkeys(("input.brightness", "input.contrast", *broken))
    findings = tuple(
        Finding(name, kind, 0.9 * (name in broken), 0.25, max(raw, 0.9 * (name in broken)), name)
        for name in checks
    )
    start, end = f"2026-11-22T{hour:02}:00", f"2026-11-22T{hour + 1:02}:00"
    return Look(start, end, version, 100, ("hub-1",), findings)


def play(state: State, looks: Sequence[Look], quiet: int = 3) -> tuple[State, list[Change]]:
    told: list[Change] = []
    for one in looks:
        state, changes = advance(state, one, quiet)
        told += changes
    return state, told


def said(changes: Sequence[Change]) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(change.what, change.alarm.episode, change.news) for change in changes]


def test_an_alarm_is_told_when_it_begins_and_when_it_ends_and_not_in_between() -> None:
    dark = [look(hour, "input.brightness") for hour in range(4)]

    state, told = play(State(), [*dark, *(look(hour) for hour in range(4, 9))])

    news = ("input.brightness",)
    assert said(told) == [("began", 1, news), ("ended", 1, news)]
    assert [change.at[11:13] for change in told] == ["01", "07"]
    assert state.alarms == {}


def test_an_alarm_that_returns_before_it_was_quiet_long_enough_has_not_ended() -> None:
    looks = [look(0, "input.brightness"), look(1), look(2), look(3, "input.brightness"), look(4)]

    state, told = play(State(), looks)

    assert [change.what for change in told] == ["began"]
    assert state.alarms["drift"].checks["input.brightness"].quiet == 1


def test_what_joins_an_alarm_is_told_and_what_was_in_it_is_not_repeated() -> None:
    looks = [look(0, "input.brightness"), look(1, "input.brightness", "input.contrast")]

    _, told = play(State(), looks)

    assert said(told) == [("began", 1, ("input.brightness",)), ("grew", 1, ("input.contrast",))]


def test_a_second_alarm_is_an_episode_of_its_own() -> None:
    looks = [look(0, "input.brightness"), look(1), look(2, "input.brightness")]

    _, told = play(State(), looks, quiet=1)

    assert [change.alarm.episode for change in told] == [1, 1, 2]
    assert len({change.event_id(HUB) for change in told}) == 3


def test_since_is_when_it_began_to_move_not_when_it_was_certain() -> None:
    looks = [look(0), look(1, raw=0.3), look(2, raw=0.4), look(3, "input.brightness")]

    state, _ = play(State(), looks)

    assert state.alarms["drift"].since == "2026-11-22T01:00"


def test_a_new_model_that_is_quiet_ends_the_alarm_of_the_old_one() -> None:
    old = [look(0, "input.brightness")]
    new = [look(hour, version="1.0.1") for hour in range(1, 4)]
    late = replace(look(0, "input.brightness"), start="2026-11-22T00:10")

    state, told = play(State(), [*old, *new, late])

    assert [change.what for change in told] == ["began", "ended"]
    assert state.alarms == {}


def test_a_new_model_that_drifts_too_is_told_in_the_same_episode_and_only_once() -> None:
    old = [look(0, "input.brightness")]
    new = [look(hour, "input.brightness", version="1.0.1") for hour in range(1, 4)]

    state, told = play(State(), [*old, *new])

    assert said(told) == [("began", 1, ("input.brightness",)), ("grew", 1, ("input.brightness",))]
    assert state.alarms["drift"].model_versions == ("1.0.0", "1.0.1")


def test_two_models_that_answer_side_by_side_do_not_tell_in_turns() -> None:
    looks = [
        look(hour, "input.brightness", version=version)
        for hour in range(4)
        for version in ("1.0.0", "1.0.1")
    ]

    _, told = play(State(), looks)

    assert [change.what for change in told] == ["began", "grew"]


def test_a_look_at_messages_says_nothing_about_pictures() -> None:
    silence = Finding("device.silence", "trouble", 9.0, 4.0, 9.0, "last heard yesterday")
    silent = Look("2026-11-22T05:00", "2026-11-22T06:00", "", 0, ("hub-1",), (silence,))

    state, told = play(State(), [look(0, "input.brightness"), silent, silent, silent, silent])

    assert [(change.alarm.kind, change.what) for change in told] == [
        ("drift", "began"),
        ("trouble", "began"),
    ]
    assert set(state.alarms) == {"drift", "trouble"}
    assert len(state.history) == 1


def test_what_is_remembered_is_read_back_as_it_was(tmp_path: Path) -> None:
    state, _ = play(State(), [look(0, "input.brightness"), look(1, version="1.0.1")])
    fleet = Scope("fleet", "", ("hub-1", "hub-2"))

    write_state(tmp_path, fleet, replace(state, judged=("a", "b"), heard="2026-11-22T02:00"))

    assert read_state(tmp_path, fleet) == replace(
        state, judged=("a", "b"), heard="2026-11-22T02:00"
    )
    assert read_state(tmp_path, HUB) == State()


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2}', '{"version": 1, "alarms": 3}'])
def test_a_damaged_state_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "monitor" / "hub-1").mkdir(parents=True)
    (tmp_path / "monitor" / "hub-1" / "state.json").write_text(text)

    with pytest.raises(InvalidInputError, match="Delete it"):
        read_state(tmp_path, HUB)
