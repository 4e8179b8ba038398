"""Asking components before a deployment touches them: is it valid, is it a good moment?"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Notify = Callable[[Mapping[str, Any]], None]


class RejectedError(Exception):
    """A component does not take its new configuration; says which and why."""


class Consent:
    """Who listens, who was asked, and what they said."""

    def __init__(self) -> None:
        self._updates: dict[str, list[Notify]] = {}
        self._validations: dict[str, list[Notify]] = {}
        self._verdicts: dict[tuple[str, str], asyncio.Future[tuple[bool, str]]] = {}
        self._deferrals: dict[tuple[str, str], asyncio.Future[float]] = {}

    def watch_updates(self, component: str, notify: Notify) -> Callable[[], None]:
        return _watch(self._updates, component, notify)

    def watch_validation(self, component: str, notify: Notify) -> Callable[[], None]:
        return _watch(self._validations, component, notify)

    def report_validity(
        self, component: str, deployment: str, accepted: bool, message: str
    ) -> None:
        """Raises KeyError when nobody asked, or no longer waits."""
        verdict = self._verdicts[component, deployment]
        if not verdict.done():
            verdict.set_result((accepted, message))

    def defer_update(self, component: str, deployment: str, recheck_after_ms: int) -> None:
        """Raises KeyError when nobody asked, or no longer waits."""
        deferral = self._deferrals[component, deployment]
        if not deferral.done():
            deferral.set_result(recheck_after_ms / 1000)

    async def validate(
        self, deployment: str, configurations: Mapping[str, Mapping[str, Any]], timeout: float
    ) -> None:
        """Asks those who listen whether they take their configuration. Raises RejectedError."""
        asked = [name for name in configurations if self._validations.get(name)]
        loop = asyncio.get_running_loop()
        for name in asked:
            self._verdicts[name, deployment] = loop.create_future()
        try:
            for name in asked:
                event = {"configuration": configurations[name], "deploymentId": deployment}
                _tell(self._validations, name, {"validateConfigurationUpdateEvent": event})
            await self._judge(asked, deployment, timeout)
        finally:
            for name in asked:
                del self._verdicts[name, deployment]

    async def _judge(self, asked: Sequence[str], deployment: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                for name in asked:
                    accepted, message = await self._verdicts[name, deployment]
                    if not accepted:
                        raise RejectedError(f"{name} rejects its configuration: {message}")
        except TimeoutError as error:
            verdicts = {name: self._verdicts[name, deployment] for name in asked}
            silent = [n for n, v in verdicts.items() if v.cancelled() or not v.done()]
            names = ", ".join(silent)
            raise RejectedError(
                f"{names} did not say within {timeout:g} s whether it takes its configuration"
            ) from error

    async def prepare(self, deployment: str, components: Sequence[str], timeout: float) -> None:
        """Announces the update; waits for those who listen to agree, at most `timeout` seconds.

        Who defers is asked again after the time it named.
        """
        deadline = time.monotonic() + timeout
        listening = [name for name in components if self._updates.get(name)]
        await asyncio.gather(*(self._agree(deployment, name, deadline) for name in listening))

    async def _agree(self, deployment: str, name: str, deadline: float) -> None:
        key = (name, deployment)
        event = {"preUpdateEvent": {"deploymentId": deployment, "isGgcRestarting": False}}
        while (left := deadline - time.monotonic()) > 0:
            self._deferrals[key] = asyncio.get_running_loop().create_future()
            _tell(self._updates, name, event)
            try:
                recheck = await asyncio.wait_for(self._deferrals[key], left)
            except TimeoutError:
                return
            finally:
                del self._deferrals[key]
            if recheck <= 0:
                return
            await asyncio.sleep(min(recheck, max(0.0, deadline - time.monotonic())))

    def announce_end(self, deployment: str) -> None:
        for name in list(self._updates):
            _tell(self._updates, name, {"postUpdateEvent": {"deploymentId": deployment}})


def _watch(listeners: dict[str, list[Notify]], name: str, notify: Notify) -> Callable[[], None]:
    listeners.setdefault(name, []).append(notify)

    def end() -> None:
        if notify in listeners.get(name, []):
            listeners[name].remove(notify)

    return end


def _tell(listeners: Mapping[str, list[Notify]], name: str, event: Mapping[str, Any]) -> None:
    for notify in list(listeners.get(name, [])):
        notify(event)
