"""The component's line to its nucleus: AWS's IPC client, with deadlines and errors in our words.

A session that has died does not come back: nucleus lite forgets its tokens when its IPC daemon
restarts. So the loss is reported once, and the component is expected to exit non-zero and to be
started again. Operations that nucleus lite lacks are tried, and done without.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
from typing import Any, Callable, Dict, List, Mapping, Optional

import awsiot.greengrasscoreipc
from awsiot.eventstreamrpc import (
    AccessDeniedError,
    ConnectionClosedError,
    LifecycleHandler,
    StreamClosedError,
)
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

SECONDS = 10.0
"""How long one operation may take; AWS's component waits as long."""

_CLOSE_SECONDS = 1.0
_MAX_STREAMS = 8  # of those that were ever opened, the newest are closed at the end

log = logging.getLogger(__name__)


class SessionLostError(Exception):
    """There is no session with the nucleus, or no more."""


class NucleusAwayError(SessionLostError):
    """There is no nucleus to connect to, now."""


class PublishError(Exception):
    """A message was not taken; another try may help (no network, no answer in time)."""


class UnauthorizedTopicError(PublishError):
    """The configuration's accessControl does not grant this topic."""


class MessageRefusedError(PublishError):
    """The nucleus will never take this message."""


class Nucleus:
    """One session with the nucleus. `on_lost` is called once, from another thread, when it dies."""

    def __init__(self, on_lost: Callable[[str], None], seconds: float = SECONDS) -> None:
        """Connect with what the environment says. Raises SessionLostError."""
        self._seconds = seconds
        self._streams: List[Any] = []
        self._session = _Session(on_lost)
        try:
            raw = awsiot.greengrasscoreipc.connect(lifecycle_handler=self._session, timeout=seconds)
        except KeyError as error:
            reason = f"{error.args[0]} is not set: only a nucleus can start this component"
            raise SessionLostError(reason) from error
        except AccessDeniedError as error:
            raise SessionLostError("the nucleus does not accept our token (SVCUID)") from error
        except Exception as error:  # awscrt raises its own and bare ones
            raise NucleusAwayError(f"cannot connect to the nucleus: {_said(error)}") from error
        self._client = GreengrassCoreIPCClientV2(client=raw)

    def configuration(self) -> Dict[str, Any]:
        """The component's whole configuration, as it is now. Raises SessionLostError."""
        try:
            answer = self._client.get_configuration_async(key_path=[]).result(self._seconds)
        except model.ResourceNotFoundError:
            return {}  # the classic nucleus has no tree for a component without configuration
        except Exception as error:  # the client maps what it does not know to bare errors
            raise SessionLostError(f"cannot read the configuration: {_said(error)}") from error
        return dict(answer.value or {})

    def watch_configuration(self, changed: Callable[[], None]) -> None:
        """Call `changed` (from another thread) whenever a key changes. Raises SessionLostError."""
        try:
            answer, stream = self._client.subscribe_to_configuration_update_async(
                key_path=[],
                on_stream_event=lambda _event: changed(),
                on_stream_error=_keep_open,
                on_stream_closed=self._stream_closed,
            )
            answer.result(self._seconds)
        except Exception as error:  # as above
            raise SessionLostError(f"cannot watch the configuration: {_said(error)}") from error
        self._streams.append(stream)

    def watch_validation(self, problem: Callable[[Mapping[str, Any]], Optional[str]]) -> bool:
        """Let `problem` (from another thread) judge configurations before they are deployed.

        It returns None, or why it refuses. False where the nucleus does not offer this.
        """

        def judge(event: Any) -> None:
            proposed = event.validate_configuration_update_event
            if proposed is not None:
                self._report_validity(proposed.deployment_id, problem(proposed.configuration or {}))

        try:
            answer, stream = self._client.subscribe_to_validate_configuration_updates_async(
                on_stream_event=judge, on_stream_error=_keep_open
            )
            answer.result(self._seconds)
        except Exception as error:  # noqa: BLE001 - optional: lite answers ServiceError
            log.info(
                "This nucleus does not ask before it changes a configuration: %s", _said(error)
            )
            return False
        self._streams.append(stream)
        return True

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1. At least once: after a timeout it may have arrived all the same.

        Raises SessionLostError, PublishError or one of its kinds.
        """
        try:
            self._client.publish_to_iot_core_async(
                topic_name=topic, qos=model.QOS.AT_LEAST_ONCE, payload=payload
            ).result(self._seconds)
        except model.UnauthorizedError as error:
            raise UnauthorizedTopicError(topic) from error
        except model.InvalidArgumentsError as error:
            raise MessageRefusedError(_said(error)) from error
        except (ConnectionClosedError, StreamClosedError) as error:
            if self._session.lost is not None or isinstance(error, ConnectionClosedError):
                raise SessionLostError(self._session.lost or "connection closed") from error
            raise PublishError(_said(error)) from error
        except concurrent.futures.TimeoutError as error:
            raise PublishError(f"no answer within {self._seconds:g} s") from error
        except Exception as error:  # ServiceError, and what the client maps to bare errors
            raise PublishError(_said(error)) from error

    def publish_local(
        self, topic: str, message: Mapping[str, Any], failed: Callable[[str], None]
    ) -> None:
        """Publish to the device's other components, without waiting.

        `failed` hears, from any thread, why it did not work: lite may lack it.
        """
        publish = model.PublishMessage(json_message=model.JsonMessage(message=dict(message)))
        try:
            answer = self._client.publish_to_topic_async(topic=topic, publish_message=publish)
        except Exception as error:  # noqa: BLE001 - optional, and the session's end is told elsewhere
            failed(_said(error))
            return
        answer.add_done_callback(_tell(failed))

    def subscribe(
        self, topic: str, receive: Callable[[bytes], None], ended: Callable[[str], None]
    ) -> None:
        """Receive what is published to IoT Core on a topic (from another thread), without waiting.

        `ended` hears, from any thread, why there is no subscription, or no more.
        """

        def hear(event: Any) -> None:
            if event.message is not None:
                receive(bytes(event.message.payload or b""))

        def closed() -> None:
            if not self._session.closing:
                ended("the subscription was closed")

        try:
            answer, stream = self._client.subscribe_to_iot_core_async(
                topic_name=topic,
                qos=model.QOS.AT_LEAST_ONCE,
                on_stream_event=hear,
                on_stream_error=_keep_open,
                on_stream_closed=closed,
            )
        except Exception as error:  # noqa: BLE001 - likewise
            ended(_said(error))
            return
        self._streams = [*self._streams[-_MAX_STREAMS:], stream]
        answer.add_done_callback(_tell(ended))

    def report_state(self, state: str) -> None:
        """Say RUNNING or ERRORED; a nucleus that does not want to know is left in peace."""
        try:
            self._client.update_state_async(state=state).result(self._seconds)
        except Exception as error:  # noqa: BLE001 - optional: lite may answer ServiceError
            log.info("The nucleus did not take the state %s: %s", state, _said(error))

    def close(self) -> None:
        """End the session: streams first, for the client prints tracebacks otherwise."""
        self._session.closing = True
        for stream in self._streams:
            with contextlib.suppress(Exception):
                stream.close().result(_CLOSE_SECONDS)
        with contextlib.suppress(Exception):
            self._client.close(executor_wait=False).result(_CLOSE_SECONDS)

    def _report_validity(self, deployment: Optional[str], problem: Optional[str]) -> None:
        status = model.ConfigurationValidityStatus
        report = model.ConfigurationValidityReport(
            deployment_id=deployment,
            status=status.ACCEPTED if problem is None else status.REJECTED,
            message=problem,
        )
        try:
            self._client.send_configuration_validity_report_async(
                configuration_validity_report=report
            ).result(self._seconds)
        except Exception as error:  # noqa: BLE001 - the nucleus decides without us
            log.warning("Could not report on deployment %s: %s", deployment, _said(error))

    def _stream_closed(self) -> None:
        self._session.on_disconnect(StreamClosedError("the configuration stream was closed"))


class _Session(LifecycleHandler):  # type: ignore[misc]  # the SDK has no types
    """Hears of the connection's end."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost
        self.closing = False
        self.lost: Optional[str] = None

    def on_disconnect(self, reason: Optional[Exception]) -> None:
        if self.closing or self.lost is not None:
            return
        self.lost = _said(reason) if reason else "connection closed"
        self._on_lost(self.lost)

    def on_error(self, error: Exception) -> bool:
        log.error("IPC protocol error: %s", _said(error))
        return True


def _keep_open(error: Exception) -> bool:
    log.warning("IPC stream error: %s", _said(error))
    return False


def _tell(failed: Callable[[str], None]) -> Callable[[Any], None]:
    """Calls `failed` when a future has ended with an error."""

    def look(done: Any) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            failed(_said(error))

    return look


def _said(error: BaseException) -> str:
    """An error's text; the SDK's own errors have it in `message` only, lite's have none."""
    text = getattr(error, "message", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
