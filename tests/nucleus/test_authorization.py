"""A component may do what its access control grants, and nothing else."""

import pytest

from backends.local.nucleus.authorization import MQTT_PROXY, PUBSUB, is_allowed

PUBLISH = "aws.greengrass#PublishToIoTCore"


def granted(service: str, resource: str, pattern: str, operation: str = PUBLISH) -> bool:
    policy = {service: {"id": {"operations": [PUBLISH], "resources": [pattern]}}}
    return is_allowed(policy, service, operation, resource)


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("ml/dlr/image-classification", "ml/dlr/image-classification", True),
        ("ml/dlr/image-classification", "ml/dlr/image-classification/x", False),
        ("edgeward/+/statistics", "edgeward/hub/statistics", True),
        ("edgeward/+/statistics", "edgeward/a/b/statistics", False),
        ("edgeward/#", "edgeward/a/b", True),
        ("edgeward/#", "edgeward", True),
        ("edgeward/#", "edgewards", False),
        ("edgeward/*", "edgeward/a/b", True),
        ("#", "anything/at/all", True),
        ("*", "anything/at/all", True),
        ("a/+", "a/#", False),
        ("a/+", "a/+", True),
        ("a/#", "a/+/b", True),
        ("a/${*}", "a/*", True),
        ("a/${*}", "a/b", False),
        ("a.b", "axb", False),
    ],
)
def test_mqtt_resources_are_topic_filters(pattern: str, topic: str, expected: bool) -> None:
    assert granted(MQTT_PROXY, topic, pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [("a/*", "a/b/c", True), ("a/+", "a/b", False), ("a/+", "a/+", True), ("a/#", "a/b", False)],
)
def test_local_resources_know_only_the_star(pattern: str, topic: str, expected: bool) -> None:
    assert granted(PUBSUB, topic, pattern) is expected


def test_another_operation_or_service_is_not_granted() -> None:
    policy = {MQTT_PROXY: {"id": {"operations": [PUBLISH], "resources": ["*"]}}}

    assert not is_allowed(policy, MQTT_PROXY, "aws.greengrass#SubscribeToIoTCore", "a")
    assert not is_allowed(policy, PUBSUB, PUBLISH, "a")


@pytest.mark.parametrize(
    "policy", [None, [], {MQTT_PROXY: []}, {MQTT_PROXY: {"id": []}}, {MQTT_PROXY: {"id": {}}}]
)
def test_a_malformed_policy_grants_nothing(policy: object) -> None:
    assert not is_allowed(policy, MQTT_PROXY, PUBLISH, "a")
