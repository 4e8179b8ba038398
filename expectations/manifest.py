"""The manifest: one row per file. Its columns and values are ours, and every file is a picture."""

from collections.abc import Mapping, Sequence

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.checks import about

SCHEMA, INTEGRITY = "data.schema", "data.integrity"
HANDLED = ("cmyk", "16-bit", "alpha", "grey", "animated", "exif-rotated")

_RANGES: Mapping[str, tuple[float, float | None]] = {
    "width": (1, None),
    "height": (1, None),
    "channels": (1, 5),
    "bytes": (0, None),
    "orientation": (1, 8),
    "frames": (1, None),
}
_PATTERNS = {"image_id": ("^[0-9a-f]{64}$", "SHA-256"), "phash": ("^[0-9a-f]{16}$", "hash")}


def suite(columns: Sequence[str], features: Sequence[str]) -> gx.ExpectationSuite:
    """`columns` in their order; `features` are the columns that hold statistics in [0, 1]."""
    ranges = {**_RANGES, **dict.fromkeys(features, (0.0, 1.0))}
    return gx.ExpectationSuite(
        name="manifest",
        expectations=[
            gxe.ExpectTableColumnsToMatchOrderedList(
                column_list=list(columns),
                description="The columns are those of a manifest, in their order",
                **about(SCHEMA, "columns"),
            ),
            *(_range(column, *bounds) for column, bounds in ranges.items()),
            *(_pattern(column, *shape) for column, shape in _PATTERNS.items()),
            *(_present(column) for column in ("image_id", "path", "label", "bytes")),
            _readable(),
            _handled(),
            _known_kinds(),
        ],
    )


def _range(column: str, low: float, high: float | None) -> gxe.Expectation:
    upper = "more" if high is None else f"{high:g}"
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        description=f"{column} is {low:g} to {upper}",
        **about(SCHEMA, f"{column} range"),
    )


def _pattern(column: str, regex: str, kind: str) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToMatchRegex(
        column=column,
        regex=regex,
        description=f"{column} is a {kind} in hexadecimal",
        **about(SCHEMA, f"{column} form"),
    )


def _present(column: str) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column,
        description=f"Every file has its {column}",
        **about(SCHEMA, f"{column} present"),
    )


def _readable() -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeNull(
        column="problem",
        description="Every file is a whole picture of the kind that its name says",
        **about(INTEGRITY, "readable"),
    )


def _known_kinds() -> gxe.Expectation:
    kinds = "|".join(HANDLED)
    return gxe.ExpectColumnValuesToMatchRegex(
        column="handled",
        regex=f"^({kinds})(,({kinds}))*$",
        description="What was converted is of a kind that preprocessing knows",
        **about(INTEGRITY, "known kinds"),
    )


def _handled() -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeNull(
        column="handled",
        mostly=0.0,
        description="Pictures that preprocessing converts "
        f"({', '.join(HANDLED)}): shown, not refused",
        **about(INTEGRITY, "converted", informative=True),
    )
