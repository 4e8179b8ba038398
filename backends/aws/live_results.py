"""Hears what devices say, over MQTT from IoT Core, while a run waits for it.

Results that came before are in the bucket (topic rules); these are the ones of this very run. The
connection is the AWS SDK's: by mutual TLS with a certificate of the settings, or by websockets that
are signed with the credentials of AWS's own chain. It comes back by itself; the session is kept
meanwhile, so that what is said in between arrives as well.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import NoCredentialsError

from backends.artifacts import DeviceResult
from backends.aws.account import Account
from backends.aws.faults import told
from backends.errors import BackendBlockedError, BackendUnavailableError, InvalidInputError
from backends.results import as_told
from edge.contract import RESULTS_TOPIC, MessageError, Result, parse_result

logger = logging.getLogger(__name__)

KEPT = 50_000
"""Results that are remembered; the oldest go first."""

ANSWER_SECONDS = 30.0  # of one operation of the broker
KEEP_ALIVE_SECONDS = 30
PING_TIMEOUT_MS = 5_000
RECONNECT_SECONDS = (1, 20)
# What only a person can mend, by the name of the SDK's error: what it means, and what to do.
_BLOCKED = {
    "AWS_IO_SOCKET_CLOSED": "the connection is closed at once",
    "AWS_ERROR_HTTP_WEBSOCKET_UPGRADE_FAILURE": "the signed connection is refused",
    "AWS_ERROR_MQTT_UNEXPECTED_HANGUP": "the connection is refused",
    "AWS_ERROR_MQTT_PROTOCOL_ERROR": "the connection is refused",
    "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE": "the certificates do not fit",
    "AWS_IO_TLS_ERROR_ALERT_RECEIVED": "the certificates do not fit",
}
_REMEDY = (
    "Allow iot:Connect, iot:Subscribe and iot:Receive to the caller or to the certificate "
    "(docs/how-to/aws.md), and check EDGEWARD_AWS__IOT_ENDPOINT, __CERTIFICATE, __PRIVATE_KEY, "
    "__CA_FILE."
)


@dataclass(frozen=True, slots=True)
class _Heard:
    at: datetime
    result: Result


class LiveResults:
    """One subscription, from `start` to `close`; safe from several threads.

    `answer_seconds` is how long the broker may take to answer.
    """

    def __init__(
        self, account: Account, kept: int = KEPT, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._account = account
        self._kept = kept
        self._answer_seconds = answer_seconds
        self._heard: OrderedDict[str, _Heard] = OrderedDict()
        self._news = threading.Condition()
        self._starting = threading.Lock()
        self._connection: Any = None

    def start(self) -> None:
        """Returns when results are heard; does nothing when they are already.

        Raises InvalidInputError (a file that is not there), BackendUnavailableError,
        BackendBlockedError.
        """
        with self._starting:
            if self._connection is None:
                self._connection = self._connect()

    def wait(
        self, thing: str, since: datetime, count: int, timeout: float
    ) -> Sequence[DeviceResult]:
        """The first `count` results of `thing` that came after a moment; fewer at the timeout."""
        self.start()
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                found = [
                    heard.result
                    for heard in self._heard.values()
                    if heard.result.thing == thing and heard.at > since
                ]
                left = deadline - time.monotonic()
                if len(found) >= count or left <= 0:
                    return tuple(as_told(result) for result in found[:count])
                self._news.wait(left)

    def close(self) -> None:
        """Ends the subscription and its session: nothing is kept for us by the broker."""
        with self._starting:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        for end in (lambda: connection.unsubscribe(RESULTS_TOPIC)[0], connection.disconnect):
            try:
                end().result(self._answer_seconds)
            except Exception as error:  # noqa: BLE001 - AwsCrtError, and what Python adds
                logger.info("the subscription did not end properly: %s", error)

    def _connect(self) -> Any:
        from awscrt import mqtt

        endpoint = self._endpoint()
        connection = self._new_connection(endpoint)
        try:
            connection.on_message(self._receive)
            connection.connect().result(self._answer_seconds)
            subscribed, _ = connection.subscribe(RESULTS_TOPIC, mqtt.QoS.AT_LEAST_ONCE)
            subscribed.result(self._answer_seconds)
        except Exception as error:
            with contextlib.suppress(Exception):  # it may never have been connected
                connection.disconnect()
            raise _refusal(endpoint, error) from error
        logger.info("hearing %s at %s", RESULTS_TOPIC, endpoint)
        return connection

    def _new_connection(self, endpoint: str) -> Any:
        """A connection that is not made yet; by mutual TLS where there is a certificate."""
        from awscrt import auth
        from awsiot import mqtt_connection_builder as builder

        settings = self._account.settings
        host, port = _host_and_port(endpoint)
        common = {
            "endpoint": host,
            "port": port,
            "ca_filepath": _file("CA_FILE", settings.ca_file) or None,
            "client_id": f"{settings.prefix}-{uuid.uuid4().hex[:12]}",
            "clean_session": False,
            "keep_alive_secs": KEEP_ALIVE_SECONDS,
            "ping_timeout_ms": PING_TIMEOUT_MS,
            "reconnect_min_timeout_secs": RECONNECT_SECONDS[0],
            "reconnect_max_timeout_secs": RECONNECT_SECONDS[1],
            "protocol_operation_timeout_ms": int(self._answer_seconds * 1000),
            "enable_metrics_collection": False,
            "on_connection_interrupted": _tell_of_interruption,
            "on_connection_resumed": _subscribe_again,
        }
        certificate = _file("CERTIFICATE", settings.certificate)
        key = _file("PRIVATE_KEY", settings.private_key)
        if bool(certificate) is not bool(key):
            missing = "PRIVATE_KEY" if certificate else "CERTIFICATE"
            reason = "the certificate and its private key go together"
            raise InvalidInputError(f"EDGEWARD_AWS__{missing}", reason, "Set both, or neither.")
        if certificate:
            try:
                return builder.mtls_from_path(certificate, key, **common)
            except Exception as error:  # AwsCrtError: what is in the files is none
                reason = f"{certificate} and {key} are no certificate and its key: {error}"
                raise InvalidInputError(
                    "EDGEWARD_AWS__CERTIFICATE", reason, "Give PEM files."
                ) from error
        with told("sts", "GetCallerIdentity"):
            self._credentials()  # what is wrong with them is best said now
        provider = auth.AwsCredentialsProvider.new_delegate(self._credentials)
        return builder.websockets_with_default_aws_signing(self._account.region, provider, **common)

    def _credentials(self) -> Any:
        """Those of AWS's own chain, as they are now: they may have been renewed."""
        from awscrt import auth

        known = self._account.session.get_credentials()
        if known is None:
            raise NoCredentialsError
        frozen = known.get_frozen_credentials()
        return auth.AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _endpoint(self) -> str:
        if given := self._account.settings.iot_endpoint:
            return given
        with told("iot", "DescribeEndpoint"):
            answer = self._account.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
        return str(answer["endpointAddress"])

    def _receive(self, topic: str, payload: bytes, **_: object) -> None:
        try:
            result = parse_result(bytes(payload))
        except MessageError as error:
            logger.debug("passed over a message on %s: %s", topic, error)
            return
        with self._news:
            if result.message_id in self._heard:  # QoS 1 delivers some twice
                return
            self._heard[result.message_id] = _Heard(datetime.now(UTC), result)
            if len(self._heard) > self._kept:
                self._heard.popitem(last=False)
            self._news.notify_all()


def _host_and_port(endpoint: str) -> tuple[str, int | None]:
    """Without a port, the SDK's own: 443."""
    host, _, port = endpoint.partition(":")
    if not host or (port and not port.isdecimal()):
        reason = f"{endpoint!r} is not HOST or HOST:PORT"
        raise InvalidInputError("EDGEWARD_AWS__IOT_ENDPOINT", reason, "Leave the scheme away.")
    return host, int(port) if port else None


def _file(key: str, name: str) -> str:
    if name and not Path(name).is_file():
        variable = f"EDGEWARD_AWS__{key}"
        raise InvalidInputError(variable, f"there is no file {name}", "Give a PEM file.")
    return name


def _tell_of_interruption(connection: object, error: object, **_: object) -> None:
    logger.warning("the connection to IoT Core was lost: %s; it comes back by itself", error)


def _subscribe_again(
    connection: Any, return_code: object, session_present: bool, **_: object
) -> None:
    logger.info("connected to IoT Core again")
    if not session_present:
        connection.resubscribe_existing_topics()


def _refusal(endpoint: str, error: Exception) -> BackendUnavailableError:
    name = str(getattr(error, "name", type(error).__name__))
    service = f"IoT Core ({endpoint})"
    if meaning := _BLOCKED.get(name):
        return BackendBlockedError(service, f"{meaning}: {name}", _REMEDY)
    if isinstance(error, FutureTimeoutError):
        # the SDK is long silent where the endpoint's certificate is not to be trusted
        remedy = "Check the network, EDGEWARD_AWS__IOT_ENDPOINT and __CA_FILE."
        return BackendUnavailableError(service, "it does not answer", remedy)
    return BackendUnavailableError(service, f"{name}: {error}".strip(": "), "Check the network.")
