"""What a device reported against what its model was trained on, check by check."""

from collections.abc import Sequence

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.expectations.conditions import Column

from expectations.checks import about

GATE = "monitor"


def suite(checks: Sequence[str]) -> gx.ExpectationSuite:
    """Judge a table of (check, model_version, measured, limit, says, …), a row per named check."""
    return gx.ExpectationSuite(name="device", expectations=[_within(name) for name in checks])


def windows_suite(model_versions: Sequence[str]) -> gx.ExpectationSuite:
    """Judge the windows themselves (window, model_version, pictures, unreadable): shown only.

    `model_versions` are those that have a baseline.
    """
    return gx.ExpectationSuite(
        name="windows",
        expectations=[
            gxe.ExpectColumnValuesToBeInSet(
                column="model_version",
                value_set=list(model_versions),
                description="Every window is of a model version that has a baseline",
                **about(GATE, "known model", informative=True),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="pictures",
                min_value=1,
                description="Every window has pictures",
                **about(GATE, "pictures in every window", informative=True),
            ),
        ],
    )


def _within(check: str) -> gxe.Expectation:
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="limit",
        column_B="measured",
        or_equal=True,
        row_condition=Column("check") == check,
        description=f"{check} stays within its limit",
        **about(GATE, check),
    )
