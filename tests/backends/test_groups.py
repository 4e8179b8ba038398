"""Thing groups are whole whatever happens, and say what is wrong with what they are told."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.local.files import read_json
from backends.local.groups import Groups
from backends.local.targets import parse_target


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path / "cloud/groups.json")


def test_the_file_is_what_devices_read(groups: Groups, tmp_path: Path) -> None:
    groups.add("porch", ["hub-2", "hub-1"])
    groups.add("porch", ["hub-1"])

    assert read_json(tmp_path / "cloud/groups.json") == {"groups": {"porch": ["hub-1", "hub-2"]}}


def test_changes_that_come_together_are_all_kept(groups: Groups, tmp_path: Path) -> None:
    def add(number: int) -> None:
        Groups(tmp_path / "cloud/groups.json").add("porch", [f"hub-{number}"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))

    assert len(groups.members("porch")) == 40


def test_a_group_whose_last_thing_leaves_is_empty_and_still_there(groups: Groups) -> None:
    groups.add("porch", ["hub-1"])

    assert groups.remove("porch", ["hub-1"]) == []
    assert groups.members("porch") == []


def test_a_thing_that_is_not_in_the_group_changes_nothing(groups: Groups) -> None:
    groups.add("porch", ["hub-1", "hub-2"])

    with pytest.raises(InvalidInputError, match="hub-3 is not in it"):
        groups.remove("porch", ["hub-1", "hub-3"])

    assert groups.members("porch") == ["hub-1", "hub-2"]


def test_an_unknown_group_is_answered_with_those_that_there_are(groups: Groups) -> None:
    groups.add("porch", ["hub-1"])

    with pytest.raises(InvalidInputError, match="There are porch"):
        groups.members("porsch")


@pytest.mark.parametrize("name", ["", "a/b", "..", "ü", "x" * 129])
def test_a_name_that_is_no_group_is_refused(groups: Groups, name: str) -> None:
    with pytest.raises(InvalidInputError, match="no thing group's name"):
        groups.add(name, ["hub-1"])


def test_a_target_has_the_names_that_aws_gives_it() -> None:
    group = parse_target("group/porch")

    assert group.arn == "arn:aws:iot:local:000000000000:thinggroup/porch"
    assert group.configuration_arn(3) == (
        "arn:aws:greengrass:local:000000000000:configuration:thinggroup/porch:3"
    )
    assert parse_target(group.arn) == group
    assert str(parse_target("thing/hub-1")) == "thing/hub-1"


@pytest.mark.parametrize("text", ["hub-1", "thing/", "group/../x", "gang/hub-1", "thing/a b", ""])
def test_what_is_no_target_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InvalidInputError, match="thing/NAME or group/NAME"):
        parse_target(text)
