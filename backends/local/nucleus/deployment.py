"""Carries out a deployment: all of it, or (by its policy) back to exactly what was there before.

The device's state file changes only when a deployment has succeeded, so a device that is killed at
any moment starts again as it was before, and takes up the deployment anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.local.nucleus.configuration import Configuration, Node, update
from backends.local.nucleus.consent import Consent, RejectedError
from backends.local.nucleus.document import CAPABILITIES, Document, Outcome, failed
from backends.local.nucleus.download import PackageFault
from backends.local.nucleus.packages import Packages
from backends.local.nucleus.recipe import Recipe, RecipeError
from backends.local.nucleus.resolution import BUILT_IN, ResolutionError, in_order, resolve
from backends.local.nucleus.service import READY, State
from backends.local.nucleus.services import Services
from backends.local.nucleus.targets import Target, only_local
from backends.local.nucleus.versions import VersionError

logger = logging.getLogger(__name__)

START_SECONDS = 300.0
"""What a deployment waits for its components, unless their recipes allow them more."""

_BEFORE_READY = ("bootstrap", "install", "startup")


class _FailedToStartError(Exception):
    """A component that the deployment brought is BROKEN, or does not get ready."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What a rollback goes back to."""

    recipes: dict[str, Recipe]
    configuration: dict[str, Node]
    broken: frozenset[str]


class Deployer:
    """One deployment at a time. `settle` seconds must pass without an error before it counts."""

    def __init__(
        self,
        packages: Packages,
        configuration: Configuration,
        services: Services,
        consent: Consent,
        commit: Callable[[Mapping[str, Target]], None],
        settle: float,
    ) -> None:
        self._packages = packages
        self._configuration = configuration
        self._services = services
        self._consent = consent
        self._commit = commit
        self._settle = settle
        self.is_changing = False
        """Whether the configuration is one that is not committed yet."""

    async def deploy(self, document: Document, targets: Mapping[str, Target]) -> Outcome:
        """Makes the device what `targets` want together; the configuration is `document`'s."""
        unknown = sorted(set(document.requiredCapabilities) - CAPABILITIES)
        if unknown:
            reason = f"requiredCapabilities: this device does not know {', '.join(unknown)}"
            return Outcome("REJECTED", "REJECTED", reason)
        try:
            recipes = await asyncio.to_thread(self._prepare, document, targets)
            proposed = self._proposed(document, recipes)
            await self._validate(document, recipes, proposed)
            await self._ask_to_update(document, recipes, proposed)
        except (
            ResolutionError, VersionError, PackageFault, RecipeError, RejectedError, OSError,
        ) as error:  # fmt: skip
            return failed("FAILED_NO_STATE_CHANGE", str(error))
        except Exception as error:  # nobody thought of it, but nothing has changed so far
            logger.exception("deployment %s: a fault of the device", document.deploymentId)
            return failed("FAILED_NO_STATE_CHANGE", f"a fault of the device: {error}")
        before = _Before(
            self._services.recipes(),
            self._configuration.snapshot(),
            frozenset(s.recipe.name for s in self._services.all() if s.state is State.BROKEN),
        )
        self.is_changing = True
        try:
            failure = await self._activate(document, before, recipes)
        except BaseException:  # e.g. the device is stopped: what was not committed is not kept
            self._configuration.restore(before.configuration)
            raise
        finally:
            self.is_changing = False
        if failure is None or failure.detailed == "FAILED_ROLLBACK_NOT_REQUESTED":
            self._commit(targets)
        self._consent.announce_end(document.deploymentId)
        return failure or Outcome("SUCCEEDED", "SUCCESSFUL")

    def _prepare(self, document: Document, targets: Mapping[str, Target]) -> dict[str, Recipe]:
        roots = {name: target.roots for name, target in targets.items()}
        recipes = {recipe.name: recipe for recipe in resolve(roots, self._packages)}
        absent = sorted(set(document.components) - set(recipes) - set(BUILT_IN))
        if absent:
            raise ResolutionError(f"{absent[0]} is configured, and is not among the components")
        self._check_contents(recipes)
        local = only_local(targets)
        for recipe in recipes.values():
            self._packages.fetch(recipe, local=recipe.name in local)
        return recipes

    def _check_contents(self, recipes: Mapping[str, Recipe]) -> None:
        """Raises PackageFault for what would replace, on disk, something to go back to."""
        for name, known in self._services.recipes().items():
            recipe = recipes.get(name, known)
            if str(recipe.version) == str(known.version) and recipe != known:
                raise PackageFault(
                    f"{name} {known.version} is on the device with another content, and a version "
                    "never changes: publish it as another version"
                )

    def _proposed(self, document: Document, recipes: Mapping[str, Recipe]) -> Configuration:
        proposed = self._configuration.copy()
        for name, recipe in recipes.items():
            wanted = document.components.get(name)
            for pointer in wanted.configurationUpdate.reset if wanted else ():
                try:
                    proposed.reset(name, pointer)
                except ValueError as error:
                    logger.warning("%s: reset of %s is skipped: %s", name, pointer, error)
            update(
                proposed,
                name,
                defaults=recipe.defaults,
                reset=(),
                merge=wanted.configurationUpdate.merge if wanted else {},
                time=document.creationTimestamp,
            )
        return proposed

    async def _validate(
        self, document: Document, recipes: Mapping[str, Recipe], proposed: Configuration
    ) -> None:
        changed = {
            name: proposed.value(name)
            for name in recipes
            if name in self._services and proposed.value(name) != self._configuration.value(name)
        }
        await self._consent.validate(
            document.deploymentId, changed, document.configurationValidationPolicy.timeout
        )

    async def _activate(
        self, document: Document, before: _Before, recipes: dict[str, Recipe]
    ) -> Outcome | None:
        """None when all went well."""
        obsolete = [name for name in before.recipes if name not in recipes]
        started = time.monotonic()
        # Anew: while components were asked, they may have written into their configuration.
        self._configuration.restore(self._proposed(document, recipes).snapshot())
        stale = self._services.stale(recipes, self._configuration)
        try:
            await self._services.replace(stale, recipes)
            await self._wait(recipes, started, frozenset(), self._settle if stale else 0)
        except (_FailedToStartError, OSError) as error:
            return await self._after_failure(document, before, recipes, str(error))
        await self._services.remove(obsolete)
        for name in obsolete:
            self._configuration.remove(name)
        return None

    async def _ask_to_update(
        self, document: Document, recipes: Mapping[str, Recipe], proposed: Configuration
    ) -> None:
        policy = document.componentUpdatePolicy
        if policy.action == "NOTIFY_COMPONENTS":
            stale = set(self._services.stale(recipes, proposed))
            running = self._services.recipes()
            affected = [name for name in running if name in stale or name not in recipes]
            await self._consent.prepare(document.deploymentId, affected, policy.timeout)

    async def _after_failure(
        self, document: Document, before: _Before, recipes: Mapping[str, Recipe], reason: str
    ) -> Outcome:
        logger.error("deployment %s failed: %s", document.deploymentId, reason)
        if document.failureHandlingPolicy == "DO_NOTHING":
            return failed("FAILED_ROLLBACK_NOT_REQUESTED", reason)
        started = time.monotonic()
        added = [name for name in recipes if name not in before.recipes]
        await self._services.remove(added)
        self._configuration.restore(before.configuration)
        stale = self._services.stale(before.recipes, self._configuration)
        await self._services.replace(stale, before.recipes)
        try:
            await self._wait(before.recipes, started, before.broken, 0)
        except _FailedToStartError as error:
            return failed("FAILED_UNABLE_TO_ROLLBACK", f"{reason}; and going back: {error}")
        return failed("FAILED_ROLLBACK_COMPLETE", reason)

    async def _wait(
        self,
        recipes: Mapping[str, Recipe],
        since: float,
        untracked: frozenset[str],
        settle: float,
    ) -> None:
        """Until everything has been RUNNING or FINISHED for `settle` seconds.

        A nucleus would not settle: with it, a Run component counts as soon as it is spawned.
        """
        patience = max(START_SECONDS, _longest_start(recipes)) + settle
        deadline = time.monotonic() + patience
        ready_since: float | None = None
        while True:
            tracked = [self._services[name] for name in recipes if name not in untracked]
            for service in tracked:
                if service.state is State.BROKEN and service.state_time >= since:
                    raise _FailedToStartError(f"{service.recipe.name} is BROKEN: {service.reason}")
            now = time.monotonic()
            if now > deadline:
                late = ", ".join(s.recipe.name for s in tracked if s.state not in READY)
                raise _FailedToStartError(f"{late} did not start within {patience:g} s")
            if all(service.state in READY for service in tracked):
                ready_since = now if ready_since is None else ready_since
                if now - ready_since >= settle:
                    return
            else:
                ready_since = None
            left = settle - (now - ready_since) if ready_since is not None else 1.0
            await self._change_or(left)

    async def _change_or(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.001, seconds)):
                await self._services.changed()
        except TimeoutError:
            return


def _longest_start(recipes: Mapping[str, Recipe]) -> float:
    """Seconds that the timeouts allow a component and, before it, all that it needs in turn."""
    longest: dict[str, float] = {}
    for name in in_order(recipes, lambda name: recipes[name].dependencies):
        recipe = recipes[name]
        before = max((longest.get(needed, 0.0) for needed in recipe.dependencies), default=0.0)
        steps = (recipe.steps[step] for step in _BEFORE_READY if step in recipe.steps)
        longest[name] = before + sum(step.timeout or 0.0 for step in steps)
    return max(longest.values(), default=0.0)
