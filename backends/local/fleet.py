"""The fleet of this machine: its core devices, and deployments to them; the Fleet port."""

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backends.artifacts import Deployment, DeviceResult, PastDeployment, Platform
from backends.errors import DeploymentError
from backends.local.admission import check_components
from backends.local.core_devices import OFFLINE, TICK, CoreDevices, check_thing
from backends.local.deployment_document import new_local_document, outcome, withdraw
from backends.local.deployment_request import DeploymentRequest, new_request
from backends.local.deployments import Deployments, Record
from backends.local.example_requests import Examples
from backends.local.files import read_json, write_json
from backends.local.history import former_deployment, past_deployments
from backends.local.machine import this_platform
from backends.local.results import ResultReader
from backends.local.scene import set_scene
from backends.local.targets import Target
from backends.moments import parse_moment
from backends.settings import Settings

DEPLOY_SECONDS = 600.0


class LocalFleet(CoreDevices):
    """What is deployed to the devices, and what comes back from them."""

    def __init__(
        self,
        settings: Settings,
        deploy_seconds: float = DEPLOY_SECONDS,
        settle_seconds: float = 3.0,
    ) -> None:
        super().__init__(settings, settle_seconds)
        self._deploy_seconds = deploy_seconds
        self.deployments = Deployments(self._cloud / "fleet", self._cloud / "deployments")

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        """Deploy `components` (name to version or requirement); wait for the end.

        Components that are not named are removed from the device. Starts the device if it does not
        run. Raises InvalidInputError, BackendUnavailableError, DeploymentError.
        """
        check_thing(thing)
        return self._deploy(thing, new_request(Target("thing", thing), components, merge, {}))

    def roll_back(self, thing: str, before: str) -> None:
        """See the port. With nothing deployed before that moment, the device then runs nothing.

        Configuration goes back to the recipes' defaults and what that former deployment merged.
        """
        check_thing(thing)
        former = former_deployment(self._deployments(thing), parse_moment(before))
        reset = dict.fromkeys(former.components, ("",))
        target = Target("thing", thing)
        request = new_request(target, former.components, former.merge, reset)
        self._deploy(thing, request, self._under_way(thing, request))

    def deployed(self, thing: str) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, object]]]:
        """Versions and merges by component, of the last deployment to `thing` that succeeded."""
        check_thing(thing)
        last = former_deployment(self._deployments(thing), datetime.now(UTC))
        return last.components, last.merge

    def history(self, thing: str) -> Sequence[PastDeployment]:
        """See the port: of the last deployments to the thing itself."""
        check_thing(thing)
        return past_deployments(self._deployments(thing))

    def deploy_locally(
        self,
        thing: str,
        components: Mapping[str, str] = MappingProxyType({}),
        remove: Sequence[str] = (),
        merge: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    ) -> Deployment:
        """Deploys on the device itself, with or without a network; waits for the end.

        Adds `components` to those that were deployed so before, less `remove`; `merge` may name any
        component of the device. Raises InvalidInputError, BackendUnavailableError, DeploymentError.
        """
        self.start_device(thing)
        identifier = str(uuid.uuid4())
        path = self._thing(thing) / "deployments" / f"{identifier}.json"
        write_json(path, new_local_document(identifier, components, remove, merge))
        return _succeeded(outcome(thing, identifier, self._wait_for_end(thing, path)))

    def start_deployment(self, request: DeploymentRequest) -> Record:
        """Begins to carry out `request`; the cloud side goes on with it by itself.

        Raises InvalidInputError when there is no such target, component or version.
        """
        target = request.target
        if target.kind == "thing":
            self.device(target.name)
        else:
            self.groups.members(target.name)
        check_components(request, self._root / "components")
        self.ensure_cloud()
        return self.deployments.create(request)

    def deployments_to(self, thing: str) -> list[dict[str, str]]:
        """The last deployment to the thing itself, and to each of its groups."""
        groups = [f"group/{name}" for name, things in self.groups.all().items() if thing in things]
        return self.deployments.last_of(thing, [f"thing/{thing}", *sorted(groups)])

    def results(self, thing: str, since: str, count: int, timeout: float) -> Sequence[DeviceResult]:
        """See the port. A device that does not run delivers nothing; that is no error."""
        check_thing(thing)
        return ResultReader(self._cloud / "results", thing, since).wait(count, timeout)

    def platform_of(self, thing: str) -> Platform:
        """What this machine is: the devices are its processes."""
        check_thing(thing)
        return this_platform()

    def place_pictures(self, thing: str, pictures: Sequence[Path]) -> Path:
        """See the port. The pictures are copied to `<thing>/camera`."""
        check_thing(thing)
        return set_scene(self._thing(thing) / "camera", pictures)

    def give_camera_back(self, thing: str) -> None:
        """See the port. The folder is the camera, and goes on showing the pictures."""
        check_thing(thing)

    @property
    def examples(self) -> Examples:
        """The hard examples of the devices."""
        return Examples(self._cloud)

    @property
    def alerts(self) -> Path:
        """The folder of the table of alerts."""
        return self._cloud / "alerts"

    def _under_way(self, thing: str, request: DeploymentRequest) -> Record | None:
        """The last deployment to the thing, where it asks for the same and has not ended."""
        if not (ids := self.deployments.index().get(str(request.target))):
            return None
        last = self.deployments.record(ids[-1])
        execution = self.deployments.progress(last.id).executions.get(thing)
        ended = execution is not None and execution.has_ended
        return None if ended or last.request != request else last

    def _deploy(
        self, thing: str, request: DeploymentRequest, joined: Record | None = None
    ) -> Deployment:
        self.start_device(thing)
        record = joined or self.deployments.create(request)
        path = self.deployments.document(thing, record.id)
        try:
            answer = self._wait_for_end(thing, path)
        except KeyboardInterrupt:
            self.deployments.cancel(record.id)
            withdraw(thing, path, "withdrawn")
            raise
        return _succeeded(outcome(thing, record.id, answer))

    def _wait_for_end(self, thing: str, path: Path) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._deploy_seconds
        root = self._thing(thing)
        status = path.with_name(f"{path.stem}.status.json")
        while True:
            answer = read_json(status) or {}
            if answer.get("status") in ("SUCCEEDED", "FAILED", "REJECTED", "CANCELED"):
                return answer
            if time.monotonic() > deadline:
                reason = f"it did not end within {self._deploy_seconds:g} s"
                raise DeploymentError(thing, path.stem, "TIMED_OUT", reason)
            if self._player(thing) is None:
                reason = "the device stopped meanwhile; it takes the deployment up when it returns"
                raise DeploymentError(thing, path.stem, "QUEUED", reason)
            if status.parent == self._deployments(thing) and (root / OFFLINE).exists():
                reason = "the device has no network; it takes the deployment up when it is online"
                raise DeploymentError(thing, path.stem, "QUEUED", reason)
            time.sleep(TICK)

    def _deployments(self, thing: str) -> Path:
        return self._cloud / "deployments" / thing


def _succeeded(deployment: Deployment) -> Deployment:
    """Raises DeploymentError if it did not end well."""
    if deployment.status != "SUCCEEDED":
        status = deployment.detailed_status or deployment.status
        raise DeploymentError(deployment.thing, deployment.id, status, deployment.reason)
    return deployment
