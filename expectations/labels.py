"""The labels: enough pictures of every class, and no picture that is two things at once."""

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.expectations.conditions import Column

from expectations.checks import about

GATE = "data.labels"


def suite(min_images: int, min_share: float) -> gx.ExpectationSuite:
    """Judge a table of (label, images, share, matters), one row per class.

    `share` is of an equal share: 1 means as many pictures as the classes have on average.
    """
    return gx.ExpectationSuite(
        name="classes",
        expectations=[
            gxe.ExpectTableRowCountToBeBetween(
                min_value=2,
                description="There are at least two classes to tell apart",
                **about(GATE, "classes"),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="images",
                min_value=1,
                row_condition=Column("matters") == "yes",
                description="Every class that the targets name has pictures",
                **about(GATE, "classes that matter"),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="images",
                min_value=min_images,
                description=f"Every class has at least {min_images} pictures",
                **about(GATE, "enough pictures"),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="share",
                min_value=min_share,
                description=f"Every class has at least {min_share:.0%} of an equal share",
                **about(GATE, "balance"),
            ),
        ],
    )


def pictures_suite() -> gx.ExpectationSuite:
    """Judge a table of (path, other_labels, copies, alike, alike_elsewhere), a row per usable file.

    `other_labels`: labels of the same bytes under another class. Copies and near-duplicates are
    shown and not refused: the split keeps them in one part.
    """
    shown = {
        "copies": "Files whose very bytes occur more than once: shown, not refused",
        "alike": "Pictures that another one resembles: kept in one part of the split, not refused",
        "alike_elsewhere": "Pictures that one under another label resembles: worth a look",
    }
    return gx.ExpectationSuite(
        name="pictures",
        expectations=[
            gxe.ExpectColumnValuesToBeNull(
                column="other_labels",
                description="No picture is under two labels",
                **about(GATE, "conflicts"),
            ),
            *(
                gxe.ExpectColumnValuesToBeNull(
                    column=column,
                    mostly=0.0,
                    description=words,
                    **about(GATE, column, informative=True),
                )
                for column, words in shown.items()
            ),
        ],
    )
