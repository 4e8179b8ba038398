"""The operations that components call over IPC, by the shapes of the AWS client.

Each takes a Call and answers with the response's members, or raises OperationError. What they act
on is given to them: configuration, local bus, MQTT proxy, lifecycle and deployments.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from backends.json_text import MAX_DEPTH, check_depth
from backends.local.nucleus.authorization import (
    COMPONENT_METRIC,
    MQTT_PROXY,
    PUBSUB,
    is_allowed,
)
from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.pubsub import LocalBus
from backends.local.nucleus.requests import (
    check_metric,
    invalid,
    is_number,
    read_blob,
    read_component,
    read_key_path,
    read_publish_message,
    read_qos,
    read_retain,
    read_text,
)
from backends.local.nucleus.rpc import PREFIX, Call, Operation, OperationError
from backends.local.topics import fits_iot_core, has_wildcard, is_filter, is_topic

_RECEIVE_MODES = ("RECEIVE_ALL_MESSAGES", "RECEIVE_MESSAGES_FROM_OTHERS")
_LAST_SECOND = 253_402_300_799  # of the year 9999
_MAX_MESSAGE = 128 * 1024  # of AWS IoT Core, and the classic nucleus's default
_STATES = ("RUNNING", "ERRORED")

Answer = Mapping[str, Any]


class MqttProxy(Protocol):
    """The device's connection to its broker."""

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Takes the message over. Raises OperationError when it cannot."""
        ...

    async def subscribe(
        self, topic_filter: str, qos: int, receive: Callable[[str, bytes], None]
    ) -> Callable[[], None]: ...


class Lifecycle(Protocol):
    """What components may say about themselves and hear about deployments."""

    def report_state(self, component: str, state: str) -> None:
        """Raises KeyError for a component that the device does not run."""
        ...

    def watch_updates(
        self, component: str, notify: Callable[[Mapping[str, Any]], None]
    ) -> Callable[[], None]: ...

    def defer_update(self, component: str, deployment: str, recheck_after_ms: int) -> None:
        """Raises KeyError when that deployment does not wait for this component."""
        ...

    def watch_validation(
        self, component: str, notify: Callable[[Mapping[str, Any]], None]
    ) -> Callable[[], None]: ...

    def report_validity(
        self, component: str, deployment: str, accepted: bool, message: str
    ) -> None:
        """Raises KeyError when nobody asked, or no longer waits."""
        ...


@dataclass(frozen=True, slots=True)
class Core:
    """Everything the operations act on. `configuration_changed` is told after an IPC update."""

    configuration: Configuration
    bus: LocalBus
    mqtt: MqttProxy
    lifecycle: Lifecycle
    configuration_changed: Callable[[], None] = lambda: None
    nucleus: Nucleus = CLASSIC


def operations(core: Core) -> dict[str, Operation]:
    """By full name, as the `operation` header gives it."""
    served = _Operations(core)
    unary = {
        "PublishToIoTCore": served.publish_to_iot_core,
        "PublishToTopic": served.publish_to_topic,
        "GetConfiguration": served.get_configuration,
        "UpdateConfiguration": served.update_configuration,
        "UpdateState": served.update_state,
        "PutComponentMetric": served.put_component_metric,
        "DeferComponentUpdate": served.defer_component_update,
        "SendConfigurationValidityReport": served.send_configuration_validity_report,
    }
    subscriptions = {
        "SubscribeToIoTCore": served.subscribe_to_iot_core,
        "SubscribeToTopic": served.subscribe_to_topic,
        "SubscribeToConfigurationUpdate": served.subscribe_to_configuration_update,
        "SubscribeToComponentUpdates": served.subscribe_to_component_updates,
        "SubscribeToValidateConfigurationUpdates": served.subscribe_to_validation,
    }
    return {
        **{PREFIX + name: Operation(run) for name, run in unary.items()},
        **{PREFIX + name: Operation(run, subscribes=True) for name, run in subscriptions.items()},
    }


class _Operations:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def publish_to_iot_core(self, call: Call) -> Answer:
        topic = read_text(call, "topicName", "Topic is required")
        payload = read_blob(call.body, "payload", "Payload is required")
        qos = read_qos(call)
        if not is_topic(topic):
            raise invalid(f"{topic!r} is no topic to publish to")
        _check_iot_core(topic)
        if len(payload) > _MAX_MESSAGE:
            raise invalid(f"a message of {len(payload)} bytes; {_MAX_MESSAGE} are allowed")
        retain = read_retain(call)
        self._authorise(call, MQTT_PROXY, topic)
        self._core.mqtt.publish(topic, payload, qos, retain=retain)
        return {}

    async def subscribe_to_iot_core(self, call: Call) -> Answer:
        topic_filter = read_text(call, "topicName", "Topic is required")
        qos = read_qos(call)
        if not is_filter(topic_filter):
            raise invalid(f"{topic_filter!r} is no topic filter")
        _check_iot_core(topic_filter)
        self._authorise(call, MQTT_PROXY, topic_filter)

        def receive(topic: str, payload: bytes) -> None:
            message = {"topicName": topic, "payload": base64.b64encode(payload).decode()}
            call.stream.event(f"{PREFIX}IoTCoreMessage", {"message": message})

        call.stream.on_close(await self._core.mqtt.subscribe(topic_filter, qos, receive))
        return {}

    async def publish_to_topic(self, call: Call) -> Answer:
        topic = read_text(call, "topic", "Topic is required")
        if has_wildcard(topic):
            raise invalid("Publish topic must not contain a wildcard")
        if not is_topic(topic):
            raise invalid(f"{topic!r} is no topic to publish to")
        kind, message = read_publish_message(call)
        self._authorise(call, PUBSUB, topic)
        self._core.bus.publish(call.component, topic, {kind: {"message": message}})
        return {}

    async def subscribe_to_topic(self, call: Call) -> Answer:
        topic_filter = read_text(call, "topic", "Topic is required")
        if not is_filter(topic_filter):
            raise invalid(f"{topic_filter!r} is no topic filter")
        mode = call.body.get("receiveMode")
        if mode is not None and mode not in _RECEIVE_MODES:
            raise invalid(f"Invalid receive mode: {mode}")
        self._authorise(call, PUBSUB, topic_filter)

        def receive(topic: str, message: dict[str, Any]) -> None:
            event = {
                kind: {**content, "context": {"topic": topic}} for kind, content in message.items()
            }
            call.stream.event(f"{PREFIX}SubscriptionResponseMessage", event)

        call.stream.on_close(self._core.bus.subscribe(call.component, topic_filter, mode, receive))
        return {"topicName": topic_filter}

    async def get_configuration(self, call: Call) -> Answer:
        component = read_component(call)
        path = read_key_path(call)
        key, value = self._resolved(component, path)
        whole = isinstance(value, dict) and not self._core.configuration.is_leaf(component, path)
        return {"componentName": component, "value": value if whole else {key: value}}

    async def update_configuration(self, call: Call) -> Answer:
        value = call.body.get("valueToMerge")
        timestamp = call.body.get("timestamp")
        path = read_key_path(call)
        if not isinstance(value, dict):
            raise invalid("valueToMerge is required")
        _check_depth(path, value)
        if not is_number(timestamp) or abs(timestamp) > _LAST_SECOND:
            raise invalid("timestamp is required")
        if "accesscontrol" in {k.lower() for k in (path[:1] or list(value))}:
            raise invalid("Config update is not allowed for following fields [accessControl]")
        written = self._core.configuration.merge(
            call.component, value, round(timestamp * 1000), path
        )
        if value and not written:
            raise OperationError(
                "FailedUpdateConditionCheckError",
                "the proposed timestamp is older than the current",
            )
        self._core.configuration_changed()
        return {}

    async def subscribe_to_configuration_update(self, call: Call) -> Answer:
        component, path = read_component(call), read_key_path(call)
        if not self._core.nucleus.watches_missing_keys:
            self._resolved(component, path)

        def changed(name: str, path: tuple[str, ...]) -> None:
            event = {"componentName": name, "keyPath": list(path)}
            call.stream.event(
                f"{PREFIX}ConfigurationUpdateEvents", {"configurationUpdateEvent": event}
            )

        call.stream.on_close(self._core.configuration.subscribe(component, path, changed))
        return {}

    def _resolved(self, component: str, path: tuple[str, ...]) -> tuple[str, Any]:
        try:
            return self._core.configuration.resolved(component, path)
        except KeyError as error:
            raise OperationError("ResourceNotFoundError", "Key not found") from error

    async def update_state(self, call: Call) -> Answer:
        state = call.body.get("state")
        if state not in _STATES:
            raise invalid(f"Invalid state: {state}")
        try:
            self._core.lifecycle.report_state(call.component, state)
        except KeyError as error:
            raise OperationError("ResourceNotFoundError", "Component not found") from error
        return {}

    async def put_component_metric(self, call: Call) -> Answer:
        metrics = call.body.get("metrics")
        if not isinstance(metrics, list) or not metrics:
            raise invalid("Metrics are required")
        for metric in metrics:
            check_metric(metric)
            self._authorise(call, COMPONENT_METRIC, metric["name"])
        if not call.component.startswith("aws."):
            raise OperationError("UnauthorizedError", "Not Authorized")
        return {}

    async def subscribe_to_component_updates(self, call: Call) -> Answer:
        def notify(event: Mapping[str, Any]) -> None:
            call.stream.event(f"{PREFIX}ComponentUpdatePolicyEvents", event)

        call.stream.on_close(self._core.lifecycle.watch_updates(call.component, notify))
        return {}

    async def defer_component_update(self, call: Call) -> Answer:
        deployment = read_text(call, "deploymentId", "deploymentId is required")
        recheck = call.body.get("recheckAfterMs") or 0
        if not is_number(recheck) or recheck < 0:
            raise invalid(f"Invalid recheckAfterMs: {recheck}")
        try:
            self._core.lifecycle.defer_update(call.component, deployment, int(recheck))
        except KeyError as error:
            raise invalid("Time limit to respond to PreComponentUpdateEvent exceeded") from error
        return {}

    async def subscribe_to_validation(self, call: Call) -> Answer:
        def notify(event: Mapping[str, Any]) -> None:
            call.stream.event(f"{PREFIX}ValidateConfigurationUpdateEvents", event)

        call.stream.on_close(self._core.lifecycle.watch_validation(call.component, notify))
        return {}

    async def send_configuration_validity_report(self, call: Call) -> Answer:
        report = call.body.get("configurationValidityReport")
        if not isinstance(report, dict) or report.get("status") not in ("ACCEPTED", "REJECTED"):
            raise invalid("Configuration validity status is required")
        try:
            self._core.lifecycle.report_validity(
                call.component,
                str(report.get("deploymentId", "")),
                report["status"] == "ACCEPTED",
                str(report.get("message") or ""),
            )
        except KeyError as error:
            raise invalid("Validation request either timed out or was never made") from error
        return {}

    def _authorise(self, call: Call, service: str, resource: str) -> None:
        try:
            granted = self._core.configuration.value(call.component, ("accessControl",))
        except KeyError:
            granted = {}
        if not is_allowed(granted, service, call.operation, resource):
            raise OperationError("UnauthorizedError", "Not Authorized")


def _check_iot_core(topic: str) -> None:
    if not fits_iot_core(topic):
        raise invalid(
            f"{topic[:80]!r}: a topic has at most 256 bytes and 7 slashes, as in AWS IoT Core;"
            " $share is not supported"
        )


def _check_depth(path: tuple[str, ...], value: dict[str, Any]) -> None:
    """Before anything is touched: nobody could walk a tree that is too deep."""
    try:
        check_depth(value, MAX_DEPTH - len(path))
    except ValueError as error:
        raise invalid(f"the configuration would be deeper than {MAX_DEPTH} levels") from error
