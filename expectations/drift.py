"""New data against the last accepted data set: by effect size, not by a p-value alone."""

from collections.abc import Mapping

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.checks import about

GATE = "data.drift"


def suite(max_psi: float, max_js: float) -> gx.ExpectationSuite:
    """Judge a table of (statistic, psi, js, …), one row per statistic and one for the label mix.

    `psi` and `js` are population stability index and Jensen-Shannon divergence (bits), without
    what chance explains; each row has one of them.
    """
    return gx.ExpectationSuite(
        name="drift",
        expectations=[
            gxe.ExpectColumnValuesToBeBetween(
                column="psi",
                max_value=max_psi,
                description="The population stability index of every image statistic is at most "
                f"{max_psi:g}",
                **about(GATE, "statistics"),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="js",
                max_value=max_js,
                description="The Jensen-Shannon divergence of the label mix is at most "
                f"{max_js:.3f} bits",
                **about(GATE, "label mix"),
            ),
        ],
    )


def labels_suite(accepted: Mapping[str, float], max_kl: float) -> gx.ExpectationSuite:
    """Judge the column `label` against the accepted shares (sum 1) by Kullback-Leibler divergence.

    Great Expectations' own, in nats; labels that `accepted` lacks must have been left out.
    """
    return gx.ExpectationSuite(
        name="label-mix",
        expectations=[
            gxe.ExpectColumnKLDivergenceToBeLessThan(
                column="label",
                partition_object={"values": list(accepted), "weights": list(accepted.values())},
                threshold=max_kl,
                description="The Kullback-Leibler divergence of the label mix from "
                f"the accepted one is less than {max_kl:.3f} nats",
                **about(GATE, "label mix (KL)"),
            ),
        ],
    )
