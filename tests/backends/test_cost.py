"""What a run in an account may cost, and whether it begins."""

import re

import pytest

from backends.cost import USD_PER_HOUR, estimate
from backends.errors import InvalidInputError
from backends.settings import PROJECT, AwsSettings
from tasks.business_understanding import CostTargets
from tasks.costs import judge_cost


def test_an_hour_and_a_month_are_reckoned_from_the_settings() -> None:
    settings = AwsSettings(usd_per_hour=2, spot=False, max_run_seconds=1800, volume_gb=100)

    most = estimate(settings)

    assert most.training_usd == pytest.approx(1.0)
    assert most.volume_usd == pytest.approx(100 * 0.14 / 730 / 2)
    assert most.storage_usd == pytest.approx(2.3)
    assert most.usd == pytest.approx(1.0 + 100 * 0.14 / 730 / 2 + 2.3)


def test_spot_is_reckoned_at_its_share() -> None:
    on_demand = estimate(AwsSettings(usd_per_hour=2, spot=False))
    spot = estimate(AwsSettings(usd_per_hour=2, spot=True, spot_share=0.3))

    assert spot.training_usd == pytest.approx(on_demand.training_usd * 0.3)


def test_the_defaults_are_within_what_a_run_may_cost_by_default() -> None:
    gate = judge_cost(estimate(AwsSettings()), CostTargets())

    assert gate.passed is True
    assert gate.limit == 5


def test_a_run_that_could_cost_too_much_is_refused_with_its_parts() -> None:
    settings = AwsSettings(instance_type="ml.p3.2xlarge", max_run_seconds=36000, spot=False)

    gate = judge_cost(estimate(settings), CostTargets(max_usd=20))

    assert gate.refuses
    assert "at most 39.00 USD exceeds 20.00: training 38.25" in gate.reason
    assert "36000 s of ml.p3.2xlarge at 3.825 an hour" in gate.reason


def test_an_instance_without_a_price_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"USD_PER_HOUR.*ml\.p5\.48xlarge"):
        estimate(AwsSettings(instance_type="ml.p5.48xlarge"))


def test_the_prices_are_those_of_the_reference() -> None:
    text = (PROJECT / "docs/reference/aws.md").read_text(encoding="utf-8")

    listed = {name: float(price) for name, price in re.findall(r"\| `(ml\.\S+)` \| (\S+) \|", text)}

    assert listed == USD_PER_HOUR
