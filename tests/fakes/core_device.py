"""A core device's IPC, and nothing else: for tests of what talks to it.

    with CoreDevice(tmp_path, "edgeward.ImageClassification", configuration) as device:
        subprocess.Popen(command, env={**os.environ, **device.environment})
        message = device.next_message(timeout=10)          # what it published to IoT Core

The server, the authorisation and the configuration are the real ones; the broker is a queue.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.ipc import IpcServer, Tokens
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.operations import Core, operations
from backends.local.nucleus.pubsub import LocalBus
from backends.local.nucleus.rpc import Limits, OperationError
from backends.local.topics import matches


@dataclass(frozen=True, slots=True)
class Published:
    topic: str
    payload: bytes
    qos: int
    retain: bool = False


class QueueProxy:
    """An MQTT proxy whose broker is a queue; `fault` makes every publish fail."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Published] = queue.Queue()
        self.fault: OperationError | None = None
        self._receivers: list[tuple[str, Callable[[str, bytes], None]]] = []

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        if self.fault is not None:
            raise self.fault
        self.messages.put(Published(topic, payload, qos, retain))

    async def subscribe(
        self, topic_filter: str, qos: int, receive: Callable[[str, bytes], None]
    ) -> Callable[[], None]:
        entry = (topic_filter, receive)
        self._receivers.append(entry)
        return lambda: self._receivers.remove(entry)

    def deliver(self, topic: str, payload: bytes) -> None:
        for topic_filter, receive in list(self._receivers):
            if matches(topic_filter, topic):
                receive(topic, payload)


class RecordingLifecycle:
    """Remembers reported states and validity; lets a test send the deployment events."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str]] = []
        self.validity: list[tuple[str, bool, str]] = []
        self.deferrals: list[tuple[str, int]] = []
        self.update_watchers: list[Callable[[Mapping[str, Any]], None]] = []
        self.validation_watchers: list[Callable[[Mapping[str, Any]], None]] = []

    def report_state(self, component: str, state: str) -> None:
        self.states.append((component, state))

    def watch_updates(
        self, component: str, notify: Callable[[Mapping[str, Any]], None]
    ) -> Callable[[], None]:
        self.update_watchers.append(notify)
        return lambda: self.update_watchers.remove(notify)

    def defer_update(self, component: str, deployment: str, recheck_after_ms: int) -> None:
        self.deferrals.append((deployment, recheck_after_ms))

    def watch_validation(
        self, component: str, notify: Callable[[Mapping[str, Any]], None]
    ) -> Callable[[], None]:
        self.validation_watchers.append(notify)
        return lambda: self.validation_watchers.remove(notify)

    def report_validity(
        self, component: str, deployment: str, accepted: bool, message: str
    ) -> None:
        self.validity.append((deployment, accepted, message))


class CoreDevice:
    """Serves one component's IPC in a thread of its own."""

    def __init__(
        self,
        root: Path,
        component: str,
        configuration: Mapping[str, Any],
        thing: str = "test-thing",
        nucleus: Nucleus = CLASSIC,
        limits: Limits = Limits(),  # noqa: B008 - a constant
    ) -> None:
        self.component = component
        self.mqtt = QueueProxy()
        self.lifecycle = RecordingLifecycle()
        self.configuration = Configuration(exact_keys=nucleus.exact_keys)
        self.configuration.merge(component, configuration, 1)
        self.tokens = Tokens()
        self.root = root
        self._thing = thing
        self.bus = LocalBus()
        core = Core(self.configuration, self.bus, self.mqtt, self.lifecycle, nucleus=nucleus)
        self._server = IpcServer(root, self.tokens, operations(core), nucleus, limits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.environment = {**self._base_environment(), "SVCUID": self.tokens.issue(component)}

    def _base_environment(self) -> dict[str, str]:
        return {
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self._server.path),
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH": str(self._server.path),
            "AWS_IOT_THING_NAME": self._thing,
        }

    @property
    def socket(self) -> Path:
        return self._server.path

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self._server.start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.call(self._server.stop())
        self.call(_drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def disconnect(self) -> None:
        """Cuts the component's connections, as a restart of the IPC daemon does."""
        self._loop.call_soon_threadsafe(self._server.disconnect, self.component)

    def merge(self, value: Mapping[str, Any]) -> None:
        """What a deployment's configuration merge does."""

        async def work() -> None:
            self.configuration.merge(self.component, value, round(time.time() * 1000))

        self.call(work())

    def deliver(self, topic: str, payload: bytes) -> None:
        self._loop.call_soon_threadsafe(self.mqtt.deliver, topic, payload)

    def validate(self, deployment: str, configuration: Mapping[str, Any]) -> None:
        """Asks the component whether it would take `configuration`; see `lifecycle.validity`."""
        event = {"configuration": dict(configuration), "deploymentId": deployment}
        for notify in self.lifecycle.validation_watchers:
            self._loop.call_soon_threadsafe(notify, {"validateConfigurationUpdateEvent": event})

    def next_message(self, timeout: float = 10) -> Published:
        """The next message to IoT Core. Raises queue.Empty at the timeout."""
        return self.mqtt.messages.get(timeout=timeout)


async def _drain() -> None:
    """Lets the connections that were cut end before the loop does."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.wait(others, timeout=5) if others else None
