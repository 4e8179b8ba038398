"""Business understanding (CRISP-DM 1): may a run cost what it may cost?"""

from backends.artifacts import Gate
from backends.cost import Estimate
from tasks.business_understanding import CostTargets


def judge_cost(estimate: Estimate, targets: CostTargets) -> Gate:
    """The gate cost.estimate: before anything is begun, so that a refused run costs nothing."""
    passed = estimate.usd <= targets.max_usd
    verb = "stays within" if passed else "exceeds"
    reason = (
        f"at most {estimate.usd:.2f} USD {verb} {targets.max_usd:.2f}: training "
        f"{estimate.training_usd:.2f} ({estimate.seconds} s of {estimate.instance_type} at "
        f"{estimate.usd_per_hour:.3f} an hour), volume {estimate.volume_usd:.2f}, a month of "
        f"storage {estimate.storage_usd:.2f}, compilation {estimate.compilation_usd:.2f}"
    )
    return Gate("cost.estimate", passed, round(estimate.usd, 4), targets.max_usd, reason)
