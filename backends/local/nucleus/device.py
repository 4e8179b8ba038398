"""The core device: puts the parts together, keeps its state on disk, takes deployments in order."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends.local.files import read_json, write_json
from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.consent import Consent
from backends.local.nucleus.deployment import Deployer
from backends.local.nucleus.direct_proxy import DirectProxy
from backends.local.nucleus.document import Document, DocumentError, Outcome, failed, read
from backends.local.nucleus.identity import Identity
from backends.local.nucleus.ipc import IpcServer, Tokens, socket_path
from backends.local.nucleus.kind import NUCLEI
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.operations import Core, operations
from backends.local.nucleus.packages import PackageFault, Packages
from backends.local.nucleus.proxy import SpoolingProxy
from backends.local.nucleus.pubsub import LocalBus
from backends.local.nucleus.recipe import Recipe, RecipeError
from backends.local.nucleus.recipe_reader import this_platform
from backends.local.nucleus.service import Service, State
from backends.local.nucleus.services import Services, describe
from backends.local.nucleus.spool import Spool

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
FINAL = ("SUCCEEDED", "FAILED", "REJECTED", "CANCELED")


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
        self._layout = layout
        self._identity = identity
        nucleus = NUCLEI[identity.nucleus]
        state = read_json(layout.state) or {}
        self._configuration = Configuration.from_json(
            state.get("configuration", {}), exact_keys=nucleus.exact_keys
        )
        self._installed: dict[str, str] = state.get("components", {})
        self._last: dict[str, Any] | None = state.get("deployment")
        self._packages = Packages(
            layout, identity.components, identity.objects, this_platform(), nucleus
        )
        self._consent = Consent()
        self._proxy = (
            SpoolingProxy(identity.thing, identity.broker, Spool(layout.spool), self._write_status)
            if nucleus.spools
            else DirectProxy(identity.thing, identity.broker, self._write_status)
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
        core = Core(self._configuration, LocalBus(), self._proxy, lifecycle, self._configured)
        self._server = IpcServer(layout.root, tokens, operations(core), nucleus)
        self._deployer = Deployer(
            self._packages,
            self._configuration,
            self._services,
            self._consent,
            self._commit,
            identity.settle,
        )
        self._deploying = False
        self._running = False
        self._ended: set[Path] = set()
        self._services.on_change(self._on_change)

    async def run(self) -> None:
        await self._server.start()
        self._proxy.start()
        self._running = True
        try:
            await self._bring_back()
            self._write_status()
            await self._take_deployments()
        finally:
            self._running = False
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
        await self._services.replace(self._services.stale(recipes), recipes)

    async def _take_deployments(self) -> None:
        self._identity.deployments.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                for path, document in self._pending():
                    await self._take(path, document)
            except OSError as error:
                logger.warning("deployments wait, the disk cannot be written: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    def _pending(self) -> list[tuple[Path, Document]]:
        """Documents without a final status, in the order of their making."""
        found: list[tuple[Path, Document]] = []
        for path in sorted(self._identity.deployments.glob("*.json")):
            if path.name.startswith(".") or path.name.endswith(".status.json"):
                continue
            if path in self._ended:
                continue
            status = read_json(_status_path(path)) or {}
            if status.get("status") in FINAL:
                self._ended.add(path)
                continue
            try:
                found.append((path, read(path)))
            except DocumentError as error:
                outcome = failed("FAILED_NO_STATE_CHANGE", str(error))
                self._answer(path, path.stem, outcome)
        return sorted(found, key=lambda entry: (entry[1].creationTimestamp, entry[1].deploymentId))

    async def _take(self, path: Path, document: Document) -> None:
        identifier = document.deploymentId
        logger.info("deployment %s: %s", identifier, sorted(document.components))
        self._write_answer(path, identifier, "IN_PROGRESS")
        self._deploying = True
        try:
            outcome = await self._deployer.deploy(document)
        except Exception as error:
            logger.exception("deployment %s: a fault of the device", identifier)
            outcome = failed("FAILED_UNABLE_TO_ROLLBACK", f"a fault of the device: {error}")
        finally:
            self._deploying = False
        self._last = {
            "id": identifier,
            "status": outcome.status,
            "detailedStatus": outcome.detailed,
            "reason": outcome.reason,
        }
        self._save()
        self._write_status()
        self._answer(path, identifier, outcome)
        logger.info("deployment %s: %s %s", identifier, outcome.detailed, outcome.reason)

    def _answer(self, path: Path, identifier: str, outcome: Outcome) -> None:
        self._write_answer(path, identifier, outcome.status, outcome.detailed, outcome.reason)

    def _write_answer(
        self, path: Path, identifier: str, status: str, detailed: str = "", reason: str = ""
    ) -> None:
        answer = {
            "deploymentId": identifier,
            "thing": self._identity.thing,
            "status": status,
            "detailedStatus": detailed,
            "reason": reason,
            "components": self._components(),
            "updatedAt": datetime.now(UTC).isoformat(),
        }
        write_json(_status_path(path), answer)

    def _commit(self, _document: Document) -> None:
        self._installed = {
            service.recipe.name: str(service.recipe.version) for service in self._services.all()
        }

    def _configured(self) -> None:
        """After an UpdateConfiguration; during a deployment, its end saves everything at once."""
        if not self._deploying:
            self._save()

    def _save(self) -> None:
        state = {
            "components": self._installed,
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
        status: Mapping[str, Any] = {
            "thing": self._identity.thing,
            "nucleus": self._identity.nucleus,
            "pid": os.getpid(),
            "components": self._components(),
            "deployment": self._last,
            "connected": self._proxy.connected,
            "messages": {"waiting": self._proxy.waiting, "dropped": self._proxy.dropped},
        }
        with contextlib.suppress(OSError):  # a full disk must not stop the device
            write_json(self._layout.status, status)


def _status_path(document: Path) -> Path:
    return document.with_name(f"{document.stem}.status.json")
