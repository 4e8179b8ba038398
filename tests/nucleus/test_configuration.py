"""Configuration decides what a device does: a wrong merge silently runs the wrong thing."""

import json
from typing import Any

import pytest

from backends.local.nucleus.configuration import Configuration, update

DEFAULTS: dict[str, Any] = {
    "name": None,
    "mode": "REQUEST",
    "network": {"useHttps": True, "port": {"http": 80, "https": 443}},
    "tags": [],
}


def configured(*updates: tuple[list[str], dict[str, Any], int]) -> Configuration:
    configuration = Configuration()
    for reset, merge, time in updates:
        update(configuration, "app", defaults=DEFAULTS, reset=reset, merge=merge, time=time)
    return configuration


def test_the_worked_example_of_the_developer_guide() -> None:
    first: dict[str, Any] = {
        "name": "Factory 2A",
        "network": {"useHttps": False, "port": {"http": 8080}},
        "tags": ["a"],
    }

    configuration = configured(
        ([], first, 1000), (["/network/useHttps", "/tags"], {"tags": ["b"]}, 2000)
    )

    assert configuration.value("app") == {
        "name": "Factory 2A",
        "mode": "REQUEST",
        "network": {"useHttps": True, "port": {"http": 8080, "https": 443}},
        "tags": ["b"],
    }


def test_a_new_default_replaces_an_old_default_and_never_what_was_set() -> None:
    configuration = configured(([], {"mode": "SET"}, 1000))

    update(
        configuration, "app", defaults={"mode": "NEW", "name": "new"}, reset=[], merge={}, time=2000
    )

    assert configuration.value("app", ("mode",)) == "SET"
    assert configuration.value("app", ("name",)) == "new"


def test_an_older_value_does_not_overwrite_a_newer_one() -> None:
    configuration = configured(([], {"mode": "LATE", "network": {"port": {"http": 1}}}, 2000))

    written = configuration.merge("app", {"mode": "EARLY", "network": 5}, 1000)

    assert written == []
    assert configuration.value("app", ("network", "port", "http")) == 1


def test_resetting_everything_brings_the_defaults_back() -> None:
    configuration = configured(([], {"mode": "SET", "own": 1}, 1000), ([""], {}, 2000))

    assert configuration.value("app") == DEFAULTS


def test_an_array_element_cannot_be_reset() -> None:
    configuration = configured(([], {"tags": ["a", "b"]}, 1000))

    with pytest.raises(ValueError, match="array"):
        configuration.reset("app", "/tags/0")
    configuration.reset("app", "/no/such/key")
    assert configuration.value("app", ("tags",)) == ["a", "b"]


def test_keys_are_found_whatever_their_case_and_kept_as_they_were() -> None:
    configuration = configured(([], {"MODE": "SET"}, 1000))

    assert configuration.value("app", ("Mode",)) == "SET"
    assert "mode" in configuration.value("app")
    assert "MODE" not in configuration.value("app")


def test_types_may_change_between_object_and_leaf() -> None:
    configuration = configured(([], {"mode": {"kind": "new"}, "network": None}, 1000))

    assert configuration.value("app", ("mode",)) == {"kind": "new"}
    assert configuration.value("app", ("network",)) is None


def test_an_empty_object_that_was_set_stays_as_any_other_value() -> None:
    configuration = configured(([], {"mode": {}, "own": {}}, 1000), ([], {}, 2000))
    again = Configuration.from_json(json.loads(json.dumps(configuration.to_json())))

    for held in (configuration, again):
        assert held.merge("app", {"mode": "EARLY"}, 999) == []
        assert (held.value("app", ("mode",)), held.value("app", ("own",))) == ({}, {})
        assert not held.is_leaf("app", ("mode",))
    configuration.merge("app", {"mode": {"kind": "default"}, "network": {}}, 1)
    assert configuration.value("app", ("mode",)) == {"kind": "default"}
    assert configuration.value("app", ("network",)) == DEFAULTS["network"]
    configuration.merge("app", {"own": "LATE"}, 1001)
    assert configuration.value("app", ("own",)) == "LATE"


def test_an_object_that_is_filled_tells_of_what_is_in_it() -> None:
    configuration = configured(([], {"own": {}}, 1000))
    heard: list[tuple[str, ...]] = []
    configuration.subscribe("app", (), lambda _name, path: heard.append(path))

    configuration.merge("app", {"own": {"a": 1}, "mode": {}}, 2000)

    assert heard == [("mode",), ("own", "a")]


def test_listeners_hear_of_changed_leaves_below_their_path_only() -> None:
    configuration = configured(([], {}, 1000))
    heard: list[tuple[str, ...]] = []
    end = configuration.subscribe("app", ("network",), lambda _name, path: heard.append(path))

    configuration.merge("app", {"mode": "X", "network": {"useHttps": True, "port": {"http": 1}}}, 9)
    end()
    configuration.merge("app", {"network": {"port": {"http": 2}}}, 10)

    assert heard == [("network", "port", "http")]


def test_going_back_to_a_snapshot_restores_values_and_times_and_tells() -> None:
    configuration = configured(([], {"mode": "OLD"}, 1000))
    stored = json.dumps(configuration.to_json())
    snapshot = configuration.snapshot()
    heard: list[tuple[str, ...]] = []
    configuration.subscribe("app", (), lambda _name, path: heard.append(path))

    configuration.merge("app", {"mode": "NEW", "added": 1}, 2000)
    configuration.restore(snapshot)

    assert json.dumps(configuration.to_json()) == stored
    assert heard == [("mode",), ("added",), ("mode",), ("added",)]


def test_configuration_survives_a_restart_of_the_device() -> None:
    configuration = configured(([], {"tags": [{"a": [1]}], "name": None, "empty": {}}, 1000))

    again = Configuration.from_json(json.loads(json.dumps(configuration.to_json())))

    assert again.to_json() == configuration.to_json()
    assert again.value("app") == configuration.value("app")
