"""The shape of a manifest, column by column, and what changed since the last accepted data set."""

from collections.abc import Sequence

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.expectations.conditions import Column

from expectations.checks import about

GATE = "data.schema"
SETTLED = ("same", "declared")
"""Changes that nobody has to look at: none, or one that targets.toml asks for."""


def suite(aspects: Sequence[str], max_strange_share: float) -> gx.ExpectationSuite:
    """Judge a table of (aspect, name, before, now, change, share), one row per thing compared.

    `aspects` are those compared: `column` by its type, `class`, and `mode` and `size` by the share
    of pictures that the accepted data had nothing like, which may be `max_strange_share`.
    """
    judged = [_settled(aspect) for aspect in aspects if aspect in ("column", "class")]
    shares = [_familiar(aspect, max_strange_share) for aspect in aspects if aspect in _STRANGE]
    return gx.ExpectationSuite(name="schema", expectations=[_types(), *judged, *shares])


_STRANGE = {
    "mode": "colour modes that the last accepted data set had not",
    "size": "sizes outside the range of the last accepted data set",
}
_CHANGED = {
    "column": "No column was added, removed or changed its type since the last accepted data set",
    "class": "No class was added or removed since the last accepted data set, "
    "except as the targets' classes say",
}


def _types() -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeInSet(
        column="ours",
        value_set=["as it should be"],
        row_condition=Column("aspect") == "column",
        description="Every column is there, in its place, with its type",
        **about(GATE, "types"),
    )


def _settled(aspect: str) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeInSet(
        column="change",
        value_set=list(SETTLED),
        row_condition=Column("aspect") == aspect,
        description=_CHANGED[aspect],
        **about(GATE, f"{aspect} change"),
    )


def _familiar(aspect: str, max_strange_share: float) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column="share",
        max_value=max_strange_share,
        row_condition=Column("aspect") == aspect,
        description=f"At most {max_strange_share:.0%} of the pictures have {_STRANGE[aspect]}",
        **about(GATE, f"{aspect} change"),
    )
