"""What device and cloud agree on, in one place to import from. Standard library only.

Names, topics and the default configuration stand here; messages and the model folder have modules
of their own and are passed on.
"""

from __future__ import annotations

from typing import Any, Mapping

from edge.messages import (
    MessageError,
    Result,
    Statistics,
    encode,
    new_message_id,
    parse_result,
    parse_statistics,
    result_message,
    statistics_message,
    utc_text,
)
from edge.model_folder import (
    SELF_TEST_STEM,
    ModelFolderError,
    ModelMetadata,
    SelfTest,
    read_metadata,
)

__all__ = [
    "CHALLENGER_COMPONENT",
    "CHECK_MODEL",
    "DEFAULT_CONFIGURATION",
    "INFERENCE_COMPONENT",
    "LOCAL_ALERTS_TOPIC",
    "MAX_MESSAGE_BYTES",
    "MODEL_COMPONENT",
    "MODEL_LOCATION",
    "OTHER_LABELS",
    "RESULTS_TOPIC",
    "RUNTIME_COMPONENT",
    "RUNTIME_PYTHON",
    "SELF_TEST_STEM",
    "THING_NAME",
    "MessageError",
    "ModelFolderError",
    "ModelMetadata",
    "Result",
    "SelfTest",
    "Statistics",
    "alerts_topic",
    "commands_topic",
    "encode",
    "examples_topic",
    "heartbeat_topic",
    "new_message_id",
    "parse_result",
    "parse_statistics",
    "read_metadata",
    "result_message",
    "statistics_message",
    "statistics_topic",
    "utc_text",
]

MODEL_COMPONENT = "edgeward.ImageClassification.Model"
CHALLENGER_COMPONENT = "edgeward.ImageClassification.Challenger"
INFERENCE_COMPONENT = "edgeward.ImageClassification"
RUNTIME_COMPONENT = "edgeward.Runtime.DLR"

THING_NAME = "[a-zA-Z0-9:_-]{1,128}"
"""Regular expression of the names that AWS IoT takes for a thing, without anchors."""

MODEL_LOCATION = "location"
"""File in the model component's work folder: absolute model folder, then component version."""

RUNTIME_PYTHON = "python"
"""Executable in the runtime component's work folder: an interpreter that has DLR."""

CHECK_MODEL = "check-model"
"""Executable in the inference component's work folder: says whether it could serve a model."""

RESULTS_TOPIC = "ml/dlr/image-classification"

LOCAL_ALERTS_TOPIC = "edgeward/alerts"
"""Topic of the device's own publish and subscribe, for its other components."""

MAX_MESSAGE_BYTES = 7000
"""Nucleus lite closes the connection on a frame over 10,000 bytes, about 7.2 kB of payload."""

OTHER_LABELS = "(other)"
"""The label under which a summary adds up its rarest, where it would be longer."""

DEFAULT_CONFIGURATION: Mapping[str, Any] = {
    "accessControl": {
        "aws.greengrass.ipc.mqttproxy": {
            INFERENCE_COMPONENT + ":mqttproxy:1": {
                "policyDescription": "Allows to publish results, statistics, heartbeats, alerts.",
                "operations": ["aws.greengrass#PublishToIoTCore"],
                "resources": [RESULTS_TOPIC, "edgeward/*"],
            },
            INFERENCE_COMPONENT + ":mqttproxy:2": {
                "policyDescription": "Allows to receive commands, e.g. to send hard examples.",
                "operations": ["aws.greengrass#SubscribeToIoTCore"],
                "resources": ["edgeward/+/commands"],
            },
        },
        "aws.greengrass.ipc.pubsub": {
            INFERENCE_COMPONENT + ":pubsub:1": {
                "policyDescription": "Allows to raise alerts on the device itself, also offline.",
                "operations": ["aws.greengrass#PublishToTopic"],
                "resources": [LOCAL_ALERTS_TOPIC],
            }
        },
    },
    "PublishResultsOnTopic": RESULTS_TOPIC,
    "ImageDirectory": "",
    "ImageName": "",
    "InferenceInterval": "3600",
    "UseCamera": "false",
    "CameraCommand": "rpicam-still --immediate --nopreview -o -",
    "ScoreThreshold": "0.3",
    "MaxResults": "5",
    "StatisticsInterval": "300",
    "VariantMode": "off",
    "VariantShare": "0.1",
    "Alerts": [],
    "HardExampleScore": "0.6",
    "HardExampleLabels": [],
    "HardExampleMegabytes": "20",
    "PicturesMayLeave": "false",
    "WatchdogSeconds": "60",
}
"""DefaultConfiguration of the inference component's recipe, and all the keys that it knows."""


def statistics_topic(thing: str) -> str:
    """Where `thing` publishes its summary of each window."""
    return f"edgeward/{thing}/statistics"


def heartbeat_topic(thing: str) -> str:
    """Where `thing` says that it is alive, with which model."""
    return f"edgeward/{thing}/heartbeat"


def alerts_topic(thing: str) -> str:
    """Where `thing` reports what somebody should look at now."""
    return f"edgeward/{thing}/alerts"


def commands_topic(thing: str) -> str:
    """Where `thing` is asked for something, e.g. its hard examples."""
    return f"edgeward/{thing}/commands"


def examples_topic(thing: str) -> str:
    """Where `thing` answers with its hard examples, in parts, or refuses to."""
    return f"edgeward/{thing}/examples"
