"""What an account's Greengrass v2 holds, and what its operations do.

Behaviour as the API reference and the developer guide describe it. Core devices are told to it
with `register_device`; how they fare is reported with `report`, as their nucleus would.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.greengrass_components import Components
from tests.fakes.greengrass_deployments import Deployments, Device
from tests.fakes.service_model import Refused, Request

# ruff: noqa: N803 - parameters have the names that the API gives them


class GreengrassCloud(Components, Deployments):
    """An operation is a method: CreateDeployment is `_create_deployment`."""

    def __init__(self, s3: Callable[[], Any]) -> None:
        Components.__init__(self, s3)
        Deployments.__init__(self, self.components)

    def register_device(self, thing: str, architecture: str = "amd64", *groups: str) -> None:
        self.devices[thing] = Device(architecture, groups=groups)

    def carry_out(self, request: Request) -> Mapping[str, Any]:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", request.operation).lower()
        work = getattr(self, f"_{name}", None)
        if work is None:
            raise Refused("UnknownOperationException", f"{request.operation} is not played")
        answer: Mapping[str, Any] = work(**request.parameters)
        return answer

    def _tag_resource(self, resourceArn: str, tags: Mapping[str, str]) -> Mapping[str, Any]:
        self._tags_of(resourceArn).update(tags)
        return {}

    def _list_tags_for_resource(self, resourceArn: str) -> Mapping[str, Any]:
        return {"tags": self._tags_of(resourceArn) or None}

    def _tags_of(self, arn: str) -> dict[str, str]:
        if ":deployments:" in arn:
            return self._deployment(arn.rpartition(":")[2]).tags
        return self._component(arn).tags
