"""Keeps every message under the size that nucleus lite can carry; what was cut is named."""

from __future__ import annotations

import logging
from typing import Any, Dict, Mapping

from edge.contract import MAX_MESSAGE_BYTES, OTHER_LABELS, encode

log = logging.getLogger(__name__)


def result_bytes(message: Mapping[str, Any], limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """Encode a result; over `limit` bytes, without its shadow, then without its lowest results."""
    payload = encode(message)
    if len(payload) > limit and "shadow" in message:
        log.warning("Message %s: the shadow was cut", message["message_id"])
        message = {key: value for key, value in message.items() if key != "shadow"}
        payload = encode(message)
    results = list(message["inference-results"])
    cut = 0
    while len(payload) > limit and results:
        results.pop()
        cut += 1
        payload = encode({**message, "inference-results": results})
    if cut:
        log.warning("Message %s: the %s lowest results were cut", message["message_id"], cut)
    return payload


def statistics_bytes(message: Mapping[str, Any], limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """Encode a window, its rarest labels added up as "(other)" where it would be over `limit`."""
    payload = encode(message)
    ranked = sorted(message["labels"].items(), key=lambda item: (-item[1], item[0]))
    kept = len(ranked)
    while len(payload) > limit and kept:
        kept -= 1
        labels: Dict[str, int] = dict(sorted(ranked[:kept]))
        labels[OTHER_LABELS] = sum(count for _, count in ranked[kept:])
        payload = encode({**message, "labels": labels})
    if kept < len(ranked):
        log.warning("Statistics: %s labels were added up", len(ranked) - kept)
    return payload
