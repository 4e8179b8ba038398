"""MQTT topics and topic filters (MQTT 3.1.1, section 4.7)."""

import re

MAX_TOPIC = 65535
_REFUSED = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]")
"""Characters that a receiver may end the connection for (section 1.5.3), but non-characters."""
_NO_CHARACTER = 0xFFFE

_IOT_CORE_BYTES = 256
_IOT_CORE_SLASHES = 7
_RULE = re.compile(r"\$aws/rules/[^/]+/")
_SHARED = "$share"


def has_wildcard(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter


def is_topic(topic: str) -> bool:
    """Whether one can publish to it: not empty, no wildcard, no control character, short enough."""
    return bool(topic) and not has_wildcard(topic) and _is_text(topic)


def is_filter(topic_filter: str) -> bool:
    """Whether one can subscribe to it: wildcards stand alone in a level, `#` only in the last."""
    levels = topic_filter.split("/")
    return (
        bool(topic_filter)
        and _is_text(topic_filter)
        and all(level in ("+", "#") or not has_wildcard(level) for level in levels)
        and "#" not in levels[:-1]
    )


def fits_iot_core(topic: str) -> bool:
    """Whether AWS IoT Core takes a topic or a filter of that size, and we do.

    What leads to a rule (`$aws/rules/NAME/`) does not count. Shared subscriptions are not for us.
    """
    counted = _RULE.sub("", topic, count=1) if _RULE.match(topic) else topic
    return (
        len(counted.encode(errors="replace")) <= _IOT_CORE_BYTES
        and counted.count("/") <= _IOT_CORE_SLASHES
        and topic.split("/", 1)[0] != _SHARED
    )


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on `topic` goes to a subscriber of `topic_filter`.

    A filter that begins with a wildcard does not match topics that begin with `$`.
    """
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted = topic_filter.split("/")
    given = topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(given) or level not in ("+", given[at]):
            return False
    return len(wanted) == len(given)


def _is_text(topic: str) -> bool:
    return (
        _REFUSED.search(topic) is None
        and not any(ord(character) & _NO_CHARACTER == _NO_CHARACTER for character in topic)
        and len(topic.encode()) <= MAX_TOPIC
    )
