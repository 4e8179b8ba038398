"""All components of the device: who runs, in which order, with which environment."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.ipc import Tokens
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.recipe import Recipe
from backends.local.nucleus.resolution import NUCLEUS_VERSION, in_order
from backends.local.nucleus.service import READY, Done, Service, State, lifecycle_text
from backends.local.nucleus.variables import Variables

_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_REGION = "local"
_BEFORE_START = (State.NEW, State.INSTALLED, State.STARTING)
_HAS_STARTED = (*READY, State.STOPPING)


class Services:
    """Starts, stops and watches the services; knows nothing of deployments."""

    def __init__(
        self,
        layout: Layout,
        configuration: Configuration,
        tokens: Tokens,
        socket: str,
        thing: str,
        nucleus: Nucleus = CLASSIC,
    ) -> None:
        self._layout = layout
        self._configuration = configuration
        self._tokens = tokens
        self._socket = socket
        self._thing = thing
        self._nucleus = nucleus
        self._services: dict[str, Service] = {}
        self._pulse = asyncio.Event()
        self._restarts: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[Service], None]] = []
        self._lock = asyncio.Lock()

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    def __contains__(self, name: object) -> bool:
        return name in self._services

    def all(self) -> list[Service]:
        return list(self._services.values())

    def recipes(self) -> dict[str, Recipe]:
        return {name: service.recipe for name, service in self._services.items()}

    def on_change(self, listener: Callable[[Service], None]) -> None:
        self._listeners.append(listener)

    async def changed(self) -> None:
        """Returns at the next change of any state."""
        await self._pulse.wait()

    def stale(self, recipes: Mapping[str, Recipe], configuration: Configuration) -> list[str]:
        """Of `recipes`, those that must be (re)started to become them with that configuration.

        That is: new ones, another version, changed lifecycle text, BROKEN ones, and whoever has a
        hard dependency on one of these.
        """
        wrong = {
            name
            for name, recipe in recipes.items()
            if self._differs(recipe, recipes, configuration)
        }
        while True:
            more = {
                name
                for name, recipe in recipes.items()
                if name not in wrong
                and any(d.hard and needed in wrong for needed, d in recipe.dependencies.items())
            }
            if not more:
                return [name for name in _order(recipes) if name in wrong]
            wrong |= more

    def _differs(
        self, recipe: Recipe, recipes: Mapping[str, Recipe], configuration: Configuration
    ) -> bool:
        known = self._services.get(recipe.name)
        if known is None or known.state is State.BROKEN:
            return True
        text = lifecycle_text(recipe, self._variables(recipe, recipes, configuration).replace)
        return str(known.recipe.version) != str(recipe.version) or known.lifecycle != text

    async def replace(self, names: Sequence[str], recipes: Mapping[str, Recipe]) -> None:
        """Stops those of `names` that run, dependents first, and starts them from `recipes`."""
        async with self._lock:
            await self._replace(names, recipes)

    async def bring_back(self, recipes: Mapping[str, Recipe]) -> None:
        """Starts what ran before the device was off: installed anew, bootstrapped long ago."""
        async with self._lock:
            await self._replace(_order(recipes), recipes, back=True)

    async def _replace(
        self, names: Sequence[str], recipes: Mapping[str, Recipe], *, back: bool = False
    ) -> None:
        for name in reversed(_order({n: recipes[n] for n in names})):
            await self._stop(name)
        fresh = {name: self._make(recipes[name], recipes, back) for name in names}
        self._services.update(fresh)
        for service in fresh.values():
            self._tell(service)
            service.start()
        self._beat()

    async def remove(self, names: Sequence[str]) -> None:
        """Stops and forgets, dependents first."""
        async with self._lock:
            known = {n: self._services[n].recipe for n in names if n in self._services}
            for name in reversed(_order(known)):
                await self._stop(name)
                del self._services[name]
        self._beat()

    async def stop_all(self) -> None:
        for task in self._restarts:
            task.cancel()
        await self.remove(list(self._services))

    async def _stop(self, name: str) -> None:
        if name in self._services:
            await self._services[name].stop()
            self._tokens.revoke(name)

    def _make(self, recipe: Recipe, recipes: Mapping[str, Recipe], back: bool) -> Service:
        replace = self._variables(recipe, recipes, self._configuration).replace
        known = self._services.get(recipe.name)
        done = Done(bootstrap=back)
        if known is not None and known.recipe.version == recipe.version:
            done = known.still_done(lifecycle_text(recipe, replace))
        return Service(
            recipe,
            self._layout,
            replace,
            lambda: self._environment(recipe.name),
            self._dependencies_ready,
            self._on_state,
            done,
        )

    def _variables(
        self, recipe: Recipe, recipes: Mapping[str, Recipe], configuration: Configuration
    ) -> Variables:
        return Variables(recipe, recipes, configuration, self._layout, self._thing, self._nucleus)

    def _environment(self, name: str) -> dict[str, str]:
        token = self._tokens.issue(name)
        return {
            **{key: os.environ[key] for key in _INHERITED if key in os.environ},
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": self._socket,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH": self._socket,
            "SVCUID": token,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            "AWS_IOT_THING_NAME": self._thing,
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "GGC_VERSION": NUCLEUS_VERSION,
        }

    async def _dependencies_ready(self, service: Service) -> None:
        while any(
            self._lacks(needed, hard=dependency.hard)
            for needed, dependency in service.recipe.dependencies.items()
        ):
            await self.changed()

    def _lacks(self, name: str, *, hard: bool) -> bool:
        """Whether to wait for it: softly, only as long as it may still get there."""
        service = self._services.get(name)
        if service is None or service.state in _HAS_STARTED:
            return False
        return hard or self._is_coming(service)

    def _is_coming(self, service: Service) -> bool:
        return service.state in _BEFORE_START and all(
            needed not in self._services
            or self._services[needed].state in _HAS_STARTED
            or self._is_coming(self._services[needed])
            for needed, dependency in service.recipe.dependencies.items()
            if dependency.hard
        )

    def _on_state(self, service: Service) -> None:
        self._tell(service)
        self._beat()
        failed = service.state in (State.ERRORED, State.BROKEN)
        if failed:
            self._restart_dependents(service.recipe.name)

    def _tell(self, service: Service) -> None:
        for listener in self._listeners:
            listener(service)

    def _restart_dependents(self, name: str) -> None:
        """A hard dependency that failed takes its dependents down until it runs again."""
        for other in self.all():
            dependency = other.recipe.dependencies.get(name)
            running = other.state in (State.STARTING, State.RUNNING)
            if dependency is not None and dependency.hard and running:
                task = asyncio.create_task(self._restart(other))
                self._restarts.add(task)
                task.add_done_callback(self._restarts.discard)

    async def _restart(self, service: Service) -> None:
        name = service.recipe.name
        async with self._lock:
            if self._services.get(name) is service:
                await self._replace([name], self.recipes())

    def _beat(self) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()


def _order(recipes: Mapping[str, Recipe]) -> list[str]:
    return in_order(recipes, lambda name: recipes[name].dependencies)


def describe(service: Service) -> dict[str, Any]:
    return {
        "version": str(service.recipe.version),
        "state": str(service.state),
        "reason": service.reason,
    }
