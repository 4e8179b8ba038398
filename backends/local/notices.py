"""Tells programs of the fleet's news by MQTT, on the broker that the devices use."""

import json
from concurrent.futures import TimeoutError as NoAnswerError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.artifacts import Message, Severity
from backends.errors import BackendUnavailableError
from backends.local.files import read_json

TOPIC = "edgeward/fleet/notices"
CLIENT = "edgeward-notices"
SECONDS = 10.0


def has_broker(cloud: Path) -> bool:
    """Whether the cloud side of the devices of this machine has said where its broker is."""
    return (cloud / "endpoint.json").is_file()


@dataclass(frozen=True, slots=True)
class MqttChannel:
    """The Channel port; `cloud` is the folder of the cloud side."""

    cloud: Path
    name: str = "mqtt"
    least: Severity = "info"

    def send(self, message: Message) -> None:
        document = {
            "id": message.id,
            "severity": message.severity,
            "subject": message.subject,
            "body": message.body,
        }
        connection = self._connection()
        try:
            connection.connect().result(SECONDS)
            self._publish(connection, json.dumps(document))
        except NoAnswerError:
            raise _unavailable(f"it did not answer within {SECONDS:g} s") from None
        except Exception as error:  # AwsCrtError, its subclasses, and what Python adds
            raise _unavailable(str(error)) from error
        finally:
            connection.disconnect()

    def _publish(self, connection: Any, payload: str) -> None:
        from awscrt import mqtt

        future, _ = connection.publish(TOPIC, payload, mqtt.QoS.AT_LEAST_ONCE)
        future.result(SECONDS)

    def _connection(self) -> Any:
        from awscrt import io, mqtt

        from backends.local.cloud.passwords import Passwords

        endpoint = read_json(self.cloud / "endpoint.json") or {}
        if "port" not in endpoint:
            raise _unavailable("the cloud side of the devices does not run")
        if "username" in endpoint:  # another's broker
            user, password = endpoint["username"], endpoint["password"]
        else:
            user = CLIENT
            password = Passwords(self.cloud / "passwords.json").issue(CLIENT)
        return mqtt.Connection(
            client=mqtt.Client(io.ClientBootstrap.get_or_create_static_default()),
            host_name=str(endpoint["host"]),
            port=int(endpoint["port"]),
            client_id=CLIENT,
            clean_session=True,
            username=user or None,
            password=password or None,
            disable_metrics=True,
        )


def _unavailable(reason: str) -> BackendUnavailableError:
    return BackendUnavailableError("the MQTT broker", reason, "See `edgeward doctor`.")
