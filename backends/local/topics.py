"""MQTT topics and topic filters (MQTT 3.1.1, section 4.7)."""

MAX_TOPIC = 65535


def has_wildcard(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter


def is_topic(topic: str) -> bool:
    """Whether one can publish to it: not empty, no wildcard, no NUL, short enough."""
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
    return "\0" not in topic and len(topic.encode(errors="replace")) <= MAX_TOPIC
