"""What a run in an AWS account may cost at most, before anything is begun.

Prices are AWS's list prices on demand in us-east-1, in dollars; other regions ask up to a third
more. Sources: the price lists of Amazon SageMaker AI (training, storage) and of Amazon S3.
"""

from dataclasses import dataclass

from backends.errors import InvalidInputError
from backends.settings import AwsSettings

USD_PER_HOUR = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.g4dn.xlarge": 0.736,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.p3.2xlarge": 3.825,
}
VOLUME_USD_PER_GB_MONTH = 0.14
S3_USD_PER_GB_MONTH = 0.023
COMPILATION_USD = 0.0  # Neo makes no charge for compiling
SECONDS_AN_HOUR = 3600
HOURS_A_MONTH = 730


@dataclass(frozen=True, slots=True)
class Estimate:
    """Dollars by part, each the most that it can be, and what they were reckoned from."""

    training_usd: float
    volume_usd: float
    storage_usd: float
    compilation_usd: float
    instance_type: str
    usd_per_hour: float
    seconds: int

    @property
    def usd(self) -> float:
        return self.training_usd + self.volume_usd + self.storage_usd + self.compilation_usd


def estimate(aws: AwsSettings) -> Estimate:
    """The most that a run can cost: training up to its limit, and what it stores for a month.

    Data is copied to the training's volume, so it is no larger than that. Raises InvalidInputError
    for an instance whose price nobody has set.
    """
    price = price_of(aws)
    seconds = aws.max_run_seconds
    hours = seconds / SECONDS_AN_HOUR
    return Estimate(
        training_usd=hours * price,
        volume_usd=hours / HOURS_A_MONTH * aws.volume_gb * VOLUME_USD_PER_GB_MONTH,
        storage_usd=aws.volume_gb * S3_USD_PER_GB_MONTH,
        compilation_usd=COMPILATION_USD,
        instance_type=aws.instance_type,
        usd_per_hour=price,
        seconds=seconds,
    )


def price_of(aws: AwsSettings) -> float:
    """What an hour of the training instance is expected to cost, spot or not."""
    price = aws.usd_per_hour or USD_PER_HOUR.get(aws.instance_type, 0.0)
    if not price:
        raise InvalidInputError(
            "EDGEWARD_AWS__USD_PER_HOUR",
            f"the price of {aws.instance_type} is not known, and cost.max_usd cannot be kept",
            "Set it, or take one of " + ", ".join(sorted(USD_PER_HOUR)) + ".",
        )
    return price * (aws.spot_share if aws.spot else 1.0)
