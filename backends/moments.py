"""Moments as people and records write them."""

from datetime import UTC, datetime

from backends.errors import InvalidInputError


def parse_moment(text: str) -> datetime:
    """An ISO 8601 moment; without a zone, it is UTC. Raises InvalidInputError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "Write it like 2026-11-22T18:00:00+00:00."
        raise InvalidInputError("since", f"{text!r} is no moment", remedy) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
