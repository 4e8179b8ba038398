"""Alerts: a rule is met or not by what the last pictures showed, and rests after it was."""

from pathlib import Path
from typing import Any

import pytest

from edge.alert_rules import MAX_SIGHTINGS, parse_alert_rules
from edge.alerts import Alert, Alerts, Sighting

RULE = {"Name": "child", "Labels": ["child"], "Sightings": 2, "QuietSeconds": 60}


class Street:
    """Shows pictures to a rule: each is new, unless it is named."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.alerts = Alerts(folder / "alerts.json")
        self.alerts.use(parse_alert_rules([{**RULE, **changes}]))
        self._pictures = 0

    def shows(self, moment: float, label: str, score: float = 0.9, name: str = "") -> list[Alert]:
        self._pictures += 1
        taken_at = f"2026-11-22T10:00:{moment:09.6f}Z"
        image_id = name or f"picture {self._pictures}"
        return self.alerts.see(Sighting(moment, label, score, image_id, "1.0.0", taken_at))


def test_so_many_sightings_in_time_raise_one_alert_that_tells_of_them(tmp_path: Path) -> None:
    street = Street(tmp_path)

    assert street.shows(1, "child") == []
    assert street.shows(2, "car") == []
    (alert,) = street.shows(3, "child", 0.85)

    assert (alert.name, alert.sightings) == ("child", 2)
    assert (alert.newest.score, alert.newest.image_id) == (0.85, "picture 3")
    assert alert.first_seen_at == "2026-11-22T10:00:01.000000Z"
    assert street.alerts.raised == 1


def test_sightings_too_far_apart_or_too_unsure_raise_none(tmp_path: Path) -> None:
    street = Street(tmp_path, WithinSeconds="10", MinScore="0.8")

    seen = [street.shows(0, "child"), street.shows(11, "child"), street.shows(12, "child", 0.79)]

    assert seen == [[], [], []]
    assert street.shows(20, "child") != []


def test_the_same_picture_again_is_no_second_sighting(tmp_path: Path) -> None:
    street = Street(tmp_path)

    assert [street.shows(n, "child", name="still") for n in range(5)] == [[]] * 5
    assert street.shows(5, "child") != []


def test_after_an_alert_there_is_quiet_also_across_a_restart(tmp_path: Path) -> None:
    street = Street(tmp_path, Sightings=1)
    assert street.shows(100, "child")
    assert street.shows(159, "child") == []

    restarted = Street(tmp_path, Sightings=1)

    assert restarted.shows(159, "child") == []
    assert restarted.shows(160, "child", name="later") != []


def test_another_start_of_the_machine_ends_the_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Street(tmp_path, Sightings=1).shows(100, "child")
    boot = tmp_path / "boot_id"
    boot.write_text("another\n")
    monkeypatch.setattr("edge.alerts._BOOT", boot)

    assert Street(tmp_path, Sightings=1).shows(3, "child")


def test_a_memory_that_is_damaged_is_as_good_as_none(tmp_path: Path) -> None:
    for content in ("", "[]", '{"boot": 1}', '{"raised_at": {"child": "x"}}'):
        (tmp_path / "alerts.json").write_text(content)

        assert Street(tmp_path, Sightings=1).shows(3, "child")


def test_a_child_alone_is_no_matter_and_a_child_while_a_car_moves_is(tmp_path: Path) -> None:
    street = Street(tmp_path, Sightings=1, WhileLabels=["car"], WhileSeconds="10")

    assert street.shows(0, "child") == []
    assert street.shows(1, "car", 0.4) == []  # too unsure to be one
    assert street.shows(12, "child") == []
    (alert,) = street.shows(14, "car", 0.6)  # the car comes second
    assert alert.newest.label == "child"

    later = Street(tmp_path / "none", Sightings=1, WhileLabels=["car"], WhileSeconds="10")
    later.shows(0, "car")
    assert later.shows(11, "child") == []
    later.shows(22, "car")
    assert later.shows(32, "child") != []


def test_a_change_of_another_rule_forgets_nothing(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.shows(1, "child")

    street.alerts.use(parse_alert_rules([RULE, {"Name": "dog", "Labels": ["dog"]}]))

    assert [alert.name for alert in street.shows(2, "child")] == ["child"]


def test_memory_is_bounded_however_often_something_is_seen(tmp_path: Path) -> None:
    street = Street(tmp_path, WithinSeconds=86400, QuietSeconds=86400)

    for number in range(3 * MAX_SIGHTINGS):
        street.shows(number / 1000, "child")

    (watched,) = street.alerts._watched
    assert len(watched._counted) == MAX_SIGHTINGS


def test_a_disk_that_fails_does_not_stop_an_alert(tmp_path: Path) -> None:
    street = Street(tmp_path / "missing", Sightings=1)

    assert street.shows(1, "child")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "Alerts: "),
        ("[", "Alerts: "),
        ([1], "Alerts[0]: "),
        ([{"Labels": ["a"]}], "Alerts[0].Name: "),
        ([{"Name": "a"}], "Alerts[0].Labels: "),
        ([{"Name": "a", "Labels": []}], "Alerts[0].Labels: "),
        ([{"Name": "a", "Labels": "child"}], "Alerts[0].Labels: "),
        ([{"Name": "a", "Labels": ["a"]}] * 2, "Alerts[1].Name: 'a' is the name of another"),
        ([{"Name": "a", "Labels": ["a"], "Sightings": "0"}], "Alerts[0].Sightings: '0'"),
        ([{"Name": "a", "Labels": ["a"], "Sightings": 1.5}], "Alerts[0].Sightings: "),
        ([{"Name": "a", "Labels": ["a"], "MinScore": "nan"}], "Alerts[0].MinScore: 'nan'"),
        ([{"Name": "a", "Labels": ["a"], "QuietSeconds": True}], "Alerts[0].QuietSeconds: "),
        ([{"Name": "a", "Labels": ["a"], "Minscore": 1}], "Alerts[0].Minscore: unknown"),
        ([{"Name": "a", "Labels": ["a"], "WhileLabels": [""]}], "Alerts[0].WhileLabels: "),
        ([{"Name": str(n), "Labels": ["a"]} for n in range(21)], "Alerts: has 21 rules"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_key(rules: Any, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.replace("[", r"\[").replace(".", r"\.")):
        parse_alert_rules(rules)


def test_numbers_may_be_texts_and_the_list_may_be_json() -> None:
    one = parse_alert_rules([{**RULE, "MinScore": "0.5"}])

    assert one == parse_alert_rules([{**RULE, "MinScore": 0.5, "Sightings": "2"}])
    assert one == parse_alert_rules(
        '[{"Name": "child", "Labels": ["child"], "Sightings": 2, "MinScore": 0.5}]'
    )


def test_rules_that_would_not_fit_into_a_frame_of_nucleus_lite_are_refused() -> None:
    rules = [{**RULE, "Name": f"rule {n}", "Labels": ["x" * 300]} for n in range(15)]

    with pytest.raises(ValueError, match=r"Alerts: the rules have .* and 4000 are allowed"):
        parse_alert_rules(rules)
