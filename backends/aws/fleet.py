"""The fleet of an account: Greengrass core devices, and deployments to them; the Fleet port."""

import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.artifacts import Deployment, DeviceResult, PastDeployment, Platform
from backends.aws.account import Account
from backends.aws.components import GreengrassComponents
from backends.aws.core_devices import CoreDevices
from backends.aws.following import BAD, Follower
from backends.aws.known_pictures import (
    CAMERA_KEYS,
    FOLDER,
    KNOWN_PICTURES,
    LOOK_AT_THEM,
    known_pictures_recipe,
    pack_pictures,
)
from backends.aws.live_results import LiveResults
from backends.aws.revisions import Component, Revision, Revisions, component, merged
from backends.aws.targets import Target, check_thing, target_of
from backends.errors import EdgewardError, InvalidInputError
from backends.moments import parse_moment
from edge.contract import INFERENCE_COMPONENT

logger = logging.getLogger(__name__)

ROLLOUT: Mapping[str, Any] = {
    "jobExecutionsRolloutConfig": {
        "exponentialRate": {
            "baseRatePerMinute": 5,
            "incrementFactor": 2.0,
            "rateIncreaseCriteria": {"numberOfSucceededThings": 5},
        }
    },
    "abortConfig": {
        "criteriaList": [
            {
                "failureType": "ALL",
                "action": "CANCEL",
                "thresholdPercentage": 20.0,
                "minNumberOfExecutedThings": 5,
            }
        ]
    },
}
"""How a deployment reaches the members of a group, where the settings do not say."""


class GreengrassFleet:
    """The ports Fleet and DeployedFleet.

    Deploys to a thing, or to the settings' group; what others deploy to that target stays. A
    repeated call joins the deployment that is in force. Raises what the ports say.
    """

    def __init__(
        self,
        account: Account,
        components: GreengrassComponents,
        live: LiveResults | None = None,
        deploy_seconds: float = 0,
    ) -> None:
        """`deploy_seconds` 0: as the settings say."""
        self._account = account
        self._components = components
        self._live = live or LiveResults(account)
        self._devices = CoreDevices(account)
        self._revisions = Revisions(account)
        self._pictures: dict[str, str] = {}
        self._unproven: set[str] = set()
        self._follower = Follower(
            account, self._devices, deploy_seconds or account.settings.deploy_seconds
        )

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        """See the port. What is said from now on can be had from `results`."""
        if unknown := sorted(set(merge) - set(components)):
            reason = f"{unknown[0]} is configured, and not deployed"
            raise InvalidInputError("deployment", reason, "Name it among the components.")
        target = target_of(self._account, self._devices, thing)
        self._live.start()
        wanted = {name: component(v, merge.get(name)) for name, v in components.items()}
        latest = self._revisions.latest(target.arn)
        return self._deploy(target, thing, latest, self._with_pictures(thing, wanted))

    def roll_back(self, thing: str, before: str) -> None:
        """See the port. What others deploy to the target stays as it is now.

        Of the configuration, what was merged since that moment is reset, to what was merged by the
        former deployment or to the recipes' defaults.
        """
        target = target_of(self._account, self._devices, thing)
        moment = parse_moment(before)
        undone: list[Revision] = []
        back: Mapping[str, Component] = {}
        for revision in self._revisions.history(target.arn):
            if revision.asked >= moment or revision.id in self._unproven:
                undone.append(revision)
            elif _is_proven(revision):
                back = revision.ours
                break
        if not undone:
            return
        wanted = {
            name: component(one["componentVersion"], merged(one), _touched(name, undone))
            for name, one in back.items()
        }
        self._deploy(target, thing, undone[0], wanted)

    def deployed(self, thing: str) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, object]]]:
        """See the port: of our components alone, for others' stay without being named."""
        target = target_of(self._account, self._devices, thing)
        proven = filter(_is_proven, self._revisions.history(target.arn))
        last = next(map(_past, proven), PastDeployment("", {}, {}))
        return last.components, last.merge

    def history(self, thing: str) -> Sequence[PastDeployment]:
        """See the port: of our components, in the target's deployments that can be gone back to."""
        target = target_of(self._account, self._devices, thing)
        return [_past(each) for each in self._revisions.history(target.arn) if _is_proven(each)]

    def platform_of(self, thing: str) -> Platform:
        """See the port. Raises InvalidInputError: no such device, or one that we do not build for.

        One that is not healthy is told of; what is deployed to it may be the cure.
        """
        platform = self._devices.platform_of(check_thing(thing))
        if "UNHEALTHY" in (health := self._devices.health(thing)):
            logger.warning("%s", health)
        return platform

    def place_pictures(self, thing: str, pictures: Sequence[Path]) -> Path:
        """See the port: publishes them as a component, which the next deployment brings along."""
        check_thing(thing)
        self._live.start()
        with tempfile.TemporaryDirectory(prefix="edgeward-pictures-") as scratch:
            package = pack_pictures(pictures, Path(scratch))
            published = self._components.publish(known_pictures_recipe(), [package])
        self._pictures[thing] = published.version
        return Path(FOLDER)

    def give_camera_back(self, thing: str) -> None:
        """See the port: a second deployment, without the pictures, with the camera as it was.

        The run has heard what it wanted to hear: the subscription ends.
        """
        target = target_of(self._account, self._devices, thing)
        history = self._revisions.history(target.arn)
        latest = next(history, None)
        if latest is not None and KNOWN_PICTURES in latest.components:
            self._deploy(target, thing, latest, _without_pictures(latest, history))
        self._live.close()

    def results(self, thing: str, since: str, count: int, timeout: float) -> Sequence[DeviceResult]:
        """See the port: of what came since the first deployment or `place_pictures` of this run."""
        return self._live.wait(check_thing(thing), parse_moment(since), count, timeout)

    def stop_started(self) -> None:
        """Ends the subscription; devices go on."""
        self._live.close()

    def _deploy(
        self,
        target: Target,
        thing: str,
        latest: Revision | None,
        ours: Mapping[str, Component],
    ) -> Deployment:
        wanted = {**(latest.others if latest else {}), **ours}
        if latest is not None and self._is_in_force(latest, wanted, thing):
            logger.info("%s: joining the deployment %s", thing, latest.id)
            identifier = latest.id
            if not _is_proven(latest):  # a run that was cut off began it: it is ours to undo
                self._unproven.add(identifier)
        else:
            job = self._account.settings.rollout or ROLLOUT
            rollout = job if target.kind == "thinggroup" else {}
            identifier = self._revisions.create(target.arn, wanted, rollout)
        try:
            return self._follower.follow(target, thing, identifier)
        except KeyboardInterrupt:
            try:
                self._revisions.cancel(identifier)
            except EdgewardError as error:
                logger.warning("%s goes on: %s", identifier, error)
            raise

    def _is_in_force(self, latest: Revision, wanted: Mapping[str, Component], thing: str) -> bool:
        """A deployment that has failed on the device is made anew, for it may succeed now."""
        if not latest.stands_for(wanted):
            return False
        return self._follower.execution(thing, latest.id).status not in BAD

    def _with_pictures(
        self, thing: str, wanted: Mapping[str, Component]
    ) -> Mapping[str, Component]:
        """What is wanted, and the known pictures if the inference component is to look at them."""
        inference = wanted.get(INFERENCE_COMPONENT, component(""))
        if merged(inference).get("ImageDirectory") != str(FOLDER):
            return wanted
        if thing not in self._pictures:
            reason = f"no pictures were placed before {thing}"
            raise InvalidInputError("ImageDirectory", reason, "Place them first.")
        looking = {**merged(inference), **LOOK_AT_THEM}
        return {
            **wanted,
            INFERENCE_COMPONENT: component(inference["componentVersion"], looking),
            KNOWN_PICTURES: component(self._pictures[thing]),
        }


def _past(revision: Revision) -> PastDeployment:
    ours = revision.ours
    versions = {name: str(one["componentVersion"]) for name, one in ours.items()}
    merges = {name: merged(one) for name, one in ours.items() if merged(one)}
    return PastDeployment(revision.asked.isoformat(), versions, merges)


def _is_proven(revision: Revision) -> bool:
    """Whether it may be gone back to. One with known pictures waits for the device's answers."""
    return revision.was_good and KNOWN_PICTURES not in revision.components


def _without_pictures(revision: Revision, earlier: Iterable[Revision]) -> dict[str, Component]:
    """Our components of a deployment, without the known pictures.

    The camera is as the last deployment before them had it; `earlier`: newest first.
    """
    ours = revision.ours
    del ours[KNOWN_PICTURES]
    former = (each.components for each in earlier if KNOWN_PICTURES not in each.components)
    camera = merged(next(former, {}).get(INFERENCE_COMPONENT, component("")))
    inference = ours[INFERENCE_COMPONENT]
    merge = {key: value for key, value in merged(inference).items() if key not in CAMERA_KEYS}
    merge |= {key: value for key, value in camera.items() if key in CAMERA_KEYS}
    reset = [f"/{key}" for key in CAMERA_KEYS]
    ours[INFERENCE_COMPONENT] = component(inference["componentVersion"], merge, reset)
    return ours


def _touched(name: str, revisions: Sequence[Revision]) -> list[str]:
    """JSON pointers of what these deployments merged into a component's configuration."""
    keys = {key for each in revisions for key in merged(each.components.get(name, component("")))}
    return ["/" + key.replace("~", "~0").replace("/", "~1") for key in sorted(keys)]
