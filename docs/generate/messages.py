"""Messages of devices: the fields with their meaning, and one that the code makes itself."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from docs.generate.tables import code, table
from edge import descriptions
from edge.contract import result_message, statistics_message
from edge.statistics import Summary

_ID = "2f9fcd280e1347c999ecec3a6982b84a"
_IMAGE = "2c4157f62a48eb43e0cfd2fda178ea37b41e3236b0c67a4473d0307284c9060f"
_TAKEN_AT = datetime(2026, 11, 22, 19, 26, 59, 213350, tzinfo=UTC)
_STATISTICS = {
    "brightness": 0.52,
    "contrast": 0.41,
    "saturation": 0.28,
    "sharpness": 0.63,
    "entropy": 0.91,
}


def fields(described: Mapping[str, str]) -> str:
    return table(("field", "meaning"), [(code(name), text) for name, text in described.items()])


def result() -> str:
    message = result_message(
        thing="hub-1",
        model_version="1.0.0",
        scores={"child": 0.9874576, "person": 0.0125424},
        score_threshold=0.3,
        max_results=5,
        image_id=_IMAGE,
        latency_ms=1.305,
        taken_at=_TAKEN_AT,
        message_id=_ID,
        shadow={
            "model_version": "1.0.1",
            "label": "child",
            "score": 0.9912031,
            "latency_ms": 1.262,
        },
    )
    message["timestamp"] = str(_TAKEN_AT.replace(tzinfo=None))  # of a device whose clock is UTC's
    return _example(message)


def statistics() -> str:
    """Shortened: one of the features, and the beginning of the sketch."""
    summary = Summary("1.0.0", "2026-11-22T19:27:28Z", "2026-11-22T19:27:58Z")
    summary.add(_STATISTICS, "child", 0.9874576, 1.305, _IMAGE)
    summary.add(_STATISTICS, "car", 0.8, 1.4, _IMAGE[::-1])
    message = statistics_message("hub-1", summary.to_dict(), _ID)
    message["features"] = {"brightness": message["features"]["brightness"]}
    message["seen"]["sketch"] = message["seen"]["sketch"][:8] + "…"
    return _example(message)


def _example(message: Mapping[str, Any]) -> str:
    """An object a key a line; what is in them stands in one line."""
    lines = ",\n".join(
        f"  {json.dumps(key)}: {json.dumps(held, ensure_ascii=False)}"
        for key, held in message.items()
    )
    return f"```json\n{{\n{lines}\n}}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "result-example": result,
    "result-fields": partial(fields, descriptions.RESULT),
    "statistics-example": statistics,
    "statistics-fields": partial(fields, descriptions.STATISTICS),
    "heartbeat-fields": partial(fields, descriptions.HEARTBEAT),
    "alert-fields": partial(fields, descriptions.ALERT),
}
