"""Which labels people are told of follows from the device's own alert rules."""

import pytest

from flows.plan import DRIVEWAY_ALERTS
from tasks.cloud_rules import sightings_of


def test_the_driveways_rules_look_for_child_and_pets_with_the_least_score_of_any() -> None:
    assert sightings_of(DRIVEWAY_ALERTS) == {"child": 0.7, "dog": 0.7, "cat": 0.7}


def test_no_rules_look_for_nothing() -> None:
    assert sightings_of([]) == {}


def test_a_rule_without_a_score_has_the_devices_default() -> None:
    assert sightings_of([{"Name": "fox", "Labels": ["fox", "marten"]}]) == {
        "fox": 0.8,
        "marten": 0.8,
    }


def test_a_rule_that_a_device_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Alerts\[0\]\.Labels"):
        sightings_of([{"Name": "fox"}])
