"""What the parts of the Greengrass fake have in common: names, pages, and what is not there."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.service_model import Refused

# ruff: noqa: N803 - parameters have the names that the API gives them

ACCOUNT = "123456789012"
REGION = "eu-west-1"


def component_arn(name: str) -> str:
    return f"arn:aws:greengrass:{REGION}:{ACCOUNT}:components:{name}"


def page_of(
    name: str,
    listed: Sequence[Any],
    maxResults: int = 50,
    nextToken: str = "0",
) -> Mapping[str, Any]:
    start = int(nextToken or 0)
    end = start + maxResults
    more = str(end) if end < len(listed) else None
    return {name: list(listed[start:end]), "nextToken": more}


def not_found(kind: str, identifier: str) -> Refused:
    return Refused(
        "ResourceNotFoundException",
        f"{kind} {identifier} cannot be found",
        resourceId=identifier,
        resourceType=kind.upper(),
    )
