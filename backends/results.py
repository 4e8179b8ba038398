"""A result of a device, from its message to the value that passes between the steps."""

from backends.artifacts import DeviceResult
from edge.contract import Result


def as_told(result: Result) -> DeviceResult:
    return DeviceResult(
        thing=result.thing,
        model_version=result.model_version,
        image_id=result.image_id,
        label=result.label,
        score=result.score,
        latency_ms=result.latency_ms,
        taken_at=result.taken_at,
        payload=result.payload,
    )
