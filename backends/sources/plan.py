"""What the driveway camera is asked to see. A flow parameter: every key changes the pictures."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CLASSES = ("bicycle", "car", "cat", "child", "dog", "empty", "person")
NEW_CLASS = "deer"
Drift = Literal["none", "night", "fog", "moved-camera", "new-class"]


class DrivewayPlan(BaseModel):
    """How many pictures to draw, from which seed, and what has changed in the world."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(2100, ge=70, le=100_000, description="Pictures, spread over the classes.")
    seed: int = Field(7, ge=0, lt=2**32, description="Same seed, same pictures.")
    drift: Drift = Field("none", description="What is not as it was when training data was made.")
    drift_strength: float = Field(
        1.0, gt=0, le=1, description="1: as bad as it gets. For new-class, the share it reaches."
    )
