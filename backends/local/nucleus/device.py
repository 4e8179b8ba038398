"""The core device: puts the parts together, keeps its state on disk, takes deployments in order."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.local.files import write_json
from backends.local.mqtt import Broker
from backends.local.nucleus.consent import Consent
from backends.local.nucleus.deployment import Deployer
from backends.local.nucleus.direct_proxy import DirectProxy
from backends.local.nucleus.document import Document, Outcome, failed
from backends.local.nucleus.download import PackageFault
from backends.local.nucleus.identity import Identity
from backends.local.nucleus.inbox import Inbox
from backends.local.nucleus.ipc import IpcServer, Tokens, socket_path
from backends.local.nucleus.keep_up import keep_up
from backends.local.nucleus.kind import NUCLEI
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.local_document import LocalDocument
from backends.local.nucleus.operations import Core, operations
from backends.local.nucleus.packages import Packages
from backends.local.nucleus.proxy import SpoolingProxy
from backends.local.nucleus.pubsub import LocalBus
from backends.local.nucleus.recipe import Recipe, RecipeError
from backends.local.nucleus.recipe_reader import this_platform
from backends.local.nucleus.service import Service, State
from backends.local.nucleus.services import Services, describe
from backends.local.nucleus.spool import Spool
from backends.local.nucleus.state import load_state
from backends.local.nucleus.targets import (
    Target,
    groups_of,
    to_json,
    why_it_stays,
    without_left_groups,
)

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2


class _Lifecycle:
    """What IPC operations may do to services and deployments."""

    def __init__(self, services: Services, consent: Consent) -> None:
        self._services = services
        self.watch_updates = consent.watch_updates
        self.defer_update = consent.defer_update
        self.watch_validation = consent.watch_validation
        self.report_validity = consent.report_validity

    def report_state(self, component: str, state: str) -> None:
        self._services[component].report(State(state))


class CoreDevice:
    """One thing. `run()` serves until cancelled and leaves no process behind."""

    def __init__(self, layout: Layout, identity: Identity) -> None:
        layout.create()
        layout.sweep()
        self._layout = layout
        self._identity = identity
        nucleus = NUCLEI[identity.nucleus]
        state = load_state(layout, identity.thing, nucleus)
        self._configuration = state.configuration
        self._installed, self._targets, self._last = state.components, state.targets, state.last
        self._packages = Packages(
            layout, identity.components, identity.objects, this_platform(), nucleus
        )
        self._consent = Consent()
        self._network = not layout.offline.exists()
        self._proxy = (
            SpoolingProxy(
                identity.thing, self._find_broker, Spool(layout.spool), self._write_status
            )
            if nucleus.spools
            else DirectProxy(identity.thing, self._find_broker, self._write_status)
        )
        self._inbox = Inbox(
            identity.thing, identity.deployments, layout.deployments, self._components
        )
        tokens = Tokens()
        self._services = Services(
            layout,
            self._configuration,
            tokens,
            socket=str(socket_path(layout.root)),
            thing=identity.thing,
            nucleus=nucleus,
        )
        lifecycle = _Lifecycle(self._services, self._consent)
        core = Core(
            self._configuration, LocalBus(), self._proxy, lifecycle, self._configured, nucleus
        )
        self._server = IpcServer(layout.root, tokens, operations(core), nucleus)
        self._deployer = Deployer(
            self._packages,
            self._configuration,
            self._services,
            self._consent,
            self._commit,
            identity.settle,
        )
        self._running = False
        self._services.on_change(self._on_change)

    async def run(self) -> None:
        await self._server.start()
        self._proxy.start()
        network = keep_up(self._watch_network)
        self._running = True
        try:
            await self._bring_back()
            self._write_status()
            await self._take_deployments()
        finally:
            self._running = False
            network.cancel()
            await self._services.stop_all()
            await self._proxy.stop()
            await self._server.stop()
            self._layout.status.unlink(missing_ok=True)

    async def _bring_back(self) -> None:
        """The components that the last good deployment left, as they were."""
        recipes: dict[str, Recipe] = {}
        for name, version in self._installed.items():
            try:
                recipes[name] = self._packages.installed(name, version)
            except (PackageFault, RecipeError) as error:
                logger.critical("%s %s cannot be started: %s", name, version, error)
        await self._services.bring_back(recipes)

    async def _take_deployments(self) -> None:
        self._identity.deployments.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                while waiting := self._inbox.next(self._proxy.connected, self._targets):
                    await self._take_or_fail(*waiting)
            except OSError as error:
                logger.warning("deployments wait, the disk cannot be written: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _take_or_fail(self, path: Path, document: Document | LocalDocument) -> None:
        """One document that we fail on must not keep the others waiting. Raises OSError."""
        try:
            await self._take(path, document)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - _our_fault logs it
            self._inbox.answer(path, document.deploymentId, _our_fault(document, error))

    async def _take(self, path: Path, document: Document | LocalDocument) -> None:
        identifier = document.deploymentId
        last = self._last or {}
        if last.get("id") == identifier and self._inbox.is_begun(path):
            # It was carried out, and the device ended before it could say so.
            outcome = Outcome(last["status"], last["detailedStatus"], last["reason"])
        else:
            logger.info("deployment %s of %s", identifier, self._inbox.target_of(document))
            self._inbox.begin(path, identifier)
            outcome = await self._carry_out(document)
        self._last = {
            "id": identifier,
            "status": outcome.status,
            "detailedStatus": outcome.detailed,
            "reason": outcome.reason,
        }
        self._save()
        self._write_status()
        self._inbox.answer(path, identifier, outcome)
        logger.info("deployment %s: %s %s", identifier, outcome.detailed, outcome.reason)

    async def _carry_out(self, document: Document | LocalDocument) -> Outcome:
        target, own = self._inbox.target_of(document), f"thing/{self._identity.thing}"
        if target.startswith("thing/") and target != own:
            reason = f"configurationArn: it is for {target}, and this device is {own}"
            return Outcome("REJECTED", "REJECTED", reason)
        try:
            wanted, targets = self._combined(document)
            outcome = await self._deployer.deploy(wanted, targets)
        except Exception as error:  # noqa: BLE001 - likewise
            return _our_fault(document, error)
        if outcome.status == "SUCCEEDED" and isinstance(document, LocalDocument):
            stay = [name for name in document.componentsToRemove if name in self._installed]
            reason = "; ".join(why_it_stays(name, targets) for name in stay)
            outcome = Outcome(outcome.status, outcome.detailed, reason)
        return outcome

    def _combined(
        self, document: Document | LocalDocument
    ) -> tuple[Document, Mapping[str, Target]]:
        """A deployment in the cloud's form, and what all targets want once it is applied."""
        name = self._inbox.target_of(document)
        if isinstance(document, LocalDocument):
            target = document.wanted(self._targets.get(name), self._installed)
            document = document.as_document(target.roots)
        else:
            roots = {component: c.version for component, c in document.components.items()}
            target = Target(roots, document.revision, document.creationTimestamp)
        groups = self._identity.groups if self._proxy.connected else None
        membership = groups_of(self._identity.thing, groups)
        return document, {**without_left_groups(self._targets, membership), name: target}

    def _find_broker(self) -> Broker | None:
        return None if self._layout.offline.exists() else self._identity.broker()

    async def _watch_network(self) -> None:
        """Cuts the connection while the switch says that there is no network."""
        while True:
            network = not self._layout.offline.exists()
            if not network and self._proxy.connected:
                self._proxy.drop()
            if network is not self._network:
                self._network = network
                self._write_status()
            await asyncio.sleep(POLL_SECONDS)

    def _commit(self, targets: Mapping[str, Target]) -> None:
        self._targets = dict(targets)
        self._installed = {
            service.recipe.name: str(service.recipe.version) for service in self._services.all()
        }

    def _configured(self) -> None:
        """After an UpdateConfiguration; a deployment's end saves everything at once."""
        if not self._deployer.is_changing:
            self._save()

    def _save(self) -> None:
        state = {
            "components": self._installed,
            "targets": to_json(self._targets),
            "configuration": self._configuration.to_json(),
            "deployment": self._last,
        }
        write_json(self._layout.state, state)

    def _components(self) -> dict[str, Any]:
        return {service.recipe.name: describe(service) for service in self._services.all()}

    def _on_change(self, service: Service) -> None:
        logger.info("%s: %s %s", service.recipe.name, service.state, service.reason)
        self._write_status()

    def _write_status(self) -> None:
        if not self._running:
            return
        damaged = self._layout.damaged_state
        status: Mapping[str, Any] = {
            "thing": self._identity.thing,
            "nucleus": self._identity.nucleus,
            "pid": os.getpid(),
            "components": self._components(),
            "deployment": self._last,
            "connected": self._proxy.connected,
            "network": self._network,
            "damaged": str(damaged) if damaged.exists() else "",
            "messages": {"waiting": self._proxy.waiting, "dropped": self._proxy.dropped},
        }
        with contextlib.suppress(OSError):  # a full disk must not stop the device
            write_json(self._layout.status, status, durable=False)  # a restart makes it anew


def _our_fault(document: Document | LocalDocument, error: Exception) -> Outcome:
    """To be called where `error` is handled."""
    logger.exception("deployment %s: a fault of the device", document.deploymentId)
    return failed("FAILED_UNABLE_TO_ROLLBACK", f"a fault of the device: {error}")
