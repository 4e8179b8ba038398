"""What the topic rules do with what devices publish, as the account keeps them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from backends.aws.account import Account, Call
from backends.aws.rule_texts import PURPOSES, rule_name
from backends.aws.topic_rules import TopicRules
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    EdgewardError,
    InvalidInputError,
)
from backends.settings import AwsSettings
from edge.contract import (
    RESULTS_TOPIC,
    alerts_topic,
    encode,
    result_message,
    statistics_message,
    statistics_topic,
)
from edge.statistics import Summary
from tests.backends.aws.conftest import BUCKET, failing
from tests.fakes.iot_sql import SqlError, parse
from tests.fakes.rule_engine import RuleEngine
from tests.fakes.subscriber import Subscriber

AT = 1_763_838_834_123  # 2025-11-22T19:13:54.123Z
SIGHTINGS = {"child": 0.8, "dog": 0.7, "cat": 0.7}


@pytest.fixture
def rules(account: Account) -> TopicRules:
    return TopicRules(account)


@pytest.fixture
def engine(account: Account) -> RuleEngine:
    return RuleEngine(account)


def result(thing: str = "hub-1", label: str = "cat", score: float = 0.9) -> dict[str, Any]:
    """As the device's component publishes it."""
    message = result_message(
        thing=thing,
        model_version="1.0.0",
        scores={label: score, "car": 1 - score},
        score_threshold=0.3,
        max_results=5,
        image_id="ab" * 32,
        latency_ms=1.5,
        taken_at=datetime(2025, 11, 22, 19, 13, 54, tzinfo=UTC),
    )
    read: dict[str, Any] = json.loads(encode(message))
    return read


def public_result(label: str = "cat", score: float = 0.9) -> dict[str, Any]:
    """As AWS's own inference component publishes it: the first four keys only."""
    return dict(list(result(label=label, score=score).items())[:4])


def stored(account: Account, prefix: str) -> dict[str, dict[str, Any]]:
    s3 = account.client("s3")
    keys = [
        entry["Key"]
        for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    ]
    return {key: json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys}


def test_a_result_becomes_one_object_by_date_and_thing(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    rules.create({})
    message = result()

    engine.publish(RESULTS_TOPIC, message, "hub-1", AT)
    engine.publish(RESULTS_TOPIC, message, "hub-1", AT)

    found = stored(account, "edgeward/results/date=2025-11-22/thing=hub-1/1763838834123-")
    assert list(found.values()) == [message, message]
    assert len(stored(account, "edgeward/")) == 2


def test_a_result_of_the_public_component_is_kept_as_of_an_unknown_thing(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    rules.create({})

    engine.publish(RESULTS_TOPIC, public_result(), "hub-1", AT)

    assert list(stored(account, "edgeward/").values()) == [public_result()]
    assert stored(account, "edgeward/results/date=2025-11-22/thing=unknown/")


@pytest.mark.parametrize("thing", ["../../training", "a/b", "x" * 129, 7, None])
def test_a_message_in_the_name_of_what_is_no_thing_is_not_stored(
    rules: TopicRules, engine: RuleEngine, account: Account, thing: object
) -> None:
    rules.create(SIGHTINGS)

    engine.publish(RESULTS_TOPIC, result() | {"thing": thing, "label": "car"}, "hub-1", AT)

    assert stored(account, "") == {}


def test_statistics_are_stored_for_the_thing_of_the_topic(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    rules.create({})
    summary = Summary("1.0.0", "2025-11-22T19:10:00Z").to_dict()
    message = json.loads(encode(statistics_message("hub-1", summary)))

    engine.publish(statistics_topic("hub-1"), message, "hub-1", AT)

    (key,) = stored(account, "edgeward/")
    assert key.startswith("edgeward/statistics/date=2025-11-22/thing=hub-1/1763838834123-")
    assert stored(account, key)[key] == message


def test_a_devices_own_alert_is_passed_on_with_its_things_name(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    rules.create(SIGHTINGS)
    alert = {"message_id": "1", "alert": "child alone", "label": "child", "score": 0.9}
    with Subscriber(account, "edgeward-alerts") as heard:
        engine.publish(alerts_topic("porch-2"), alert, "porch-2", AT)

        assert heard.messages() == [alert | {"thing": "porch-2"}]


@pytest.mark.parametrize(
    ("label", "score", "is_told"),
    [
        pytest.param("child", 0.9, True, id="child"),
        pytest.param("child", 0.75, False, id="child-unsure"),
        pytest.param("cat", 0.75, True, id="pet"),
        pytest.param("cat", 0.7, True, id="exactly"),
        pytest.param("car", 0.99, False, id="car"),
    ],
)
@pytest.mark.parametrize("component", ["ours", "public"])
def test_a_child_or_pet_that_is_seen_is_told(
    rules: TopicRules,
    engine: RuleEngine,
    account: Account,
    label: str,
    score: float,
    is_told: bool,
    component: str,
) -> None:
    rules.create(SIGHTINGS)
    message = (result if component == "ours" else public_result)(label=label, score=score)
    with Subscriber(account, "edgeward-sightings") as heard:
        engine.publish(RESULTS_TOPIC, message, "hub-1", AT)

        told = heard.messages()
    assert len(told) == is_told
    for one in told:
        assert (one["label"], round(float(one["score"]), 6)) == (label, score)
        assert (one["source_topic"], one["received_ms"]) == (RESULTS_TOPIC, AT)
        assert one.get("thing", one.get("publisher")) == "hub-1"


def test_what_shows_nothing_at_all_is_not_told(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    rules.create(SIGHTINGS)
    empty = public_result() | {"inference-results": []}
    with Subscriber(account, "edgeward-sightings") as heard:
        acted = engine.publish(RESULTS_TOPIC, empty, "hub-1", AT)

        assert acted == ["edgeward_public_results"]
        assert heard.messages() == []


def test_a_rule_that_cannot_act_says_so_in_the_log(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    rules.create({})
    account.client("s3").delete_bucket(Bucket=BUCKET)

    engine.publish(RESULTS_TOPIC, result(), "hub-1", AT)

    logs = account.client("logs")
    group = "/edgeward/edgeward/rule-errors"
    (event,) = logs.get_log_events(logGroupName=group, logStreamName="edgeward_results")["events"]
    assert "NoSuchBucket" in event["message"]
    (kept,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert kept["retentionInDays"] == 30


def test_creating_again_changes_nothing(rules: TopicRules, calls: list[Call]) -> None:
    first = rules.create(SIGHTINGS)
    calls.clear()

    again = rules.create(SIGHTINGS)

    assert {part.state for part in first} == {"created"}
    assert [(part.kind, part.name) for part in again] == [(part.kind, part.name) for part in first]
    assert {part.state for part in again} == {"unchanged"}
    assert not {call.operation for call in calls} & {"CreateTopicRule", "ReplaceTopicRule"}


def test_other_labels_change_the_rule_and_none_take_it_away(
    rules: TopicRules, engine: RuleEngine
) -> None:
    rules.create(SIGHTINGS)

    changed = {part.name: part.state for part in rules.create({"fox": 0.5})}
    acted = engine.publish(RESULTS_TOPIC, result(label="fox", score=0.6), "hub-1", AT)
    gone = {part.name: part.state for part in rules.create({})}

    assert (changed["edgeward_sightings"], changed["edgeward_results"]) == ("updated", "unchanged")
    assert acted == ["edgeward_results", "edgeward_sightings"]
    assert gone["edgeward_sightings"] == gone["edgeward_public_sightings"] == "removed"


def test_removing_takes_all_of_it_away_and_again_nothing(
    rules: TopicRules, account: Account
) -> None:
    created = rules.create(SIGHTINGS)

    removed = rules.remove()

    assert {(part.kind, part.name) for part in removed} == {
        (part.kind, part.name) for part in created
    }
    assert rules.present() == [] == rules.remove()
    assert account.client("iot").list_topic_rules()["rules"] == []
    assert account.client("sns").list_topics()["Topics"] == []
    assert account.client("logs").describe_log_groups()["logGroups"] == []


def test_somebody_elses_rule_of_that_name_is_left_alone(
    rules: TopicRules, account: Account
) -> None:
    theirs = {"sql": "SELECT * FROM 'a'", "actions": []}
    account.client("iot").create_topic_rule(
        ruleName="edgeward_results", topicRulePayload=theirs, tags="team=other"
    )

    with pytest.raises(InvalidInputError, match=r"edgeward_results.*not ours"):
        rules.create({})
    with pytest.raises(InvalidInputError, match=r"edgeward_results.*not ours"):
        rules.remove()

    rule = account.client("iot").get_topic_rule(ruleName="edgeward_results")["rule"]
    assert rule["sql"] == theirs["sql"]


def test_a_rule_that_the_list_does_not_show_yet_is_no_failure(
    rules: TopicRules, account: Account
) -> None:
    rules.create(SIGHTINGS)
    rules.create({"fox": 0.5})
    account.client("iot").meta.events.register(
        "after-call.iot.ListTopicRules", lambda parsed, **_: parsed.update(rules=[])
    )

    again = {part.name: part.state for part in rules.create(SIGHTINGS)}

    assert (again["edgeward_results"], again["edgeward_sightings"]) == ("unchanged", "updated")


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        pytest.param("ThrottlingException", BackendUnavailableError, "throttles", id="throttled"),
        pytest.param("ExpiredTokenException", BackendBlockedError, "expired.*Log in", id="expired"),
        pytest.param(
            "UnauthorizedException", BackendBlockedError, "Allow iot:CreateTopicRule", id="denied"
        ),
        pytest.param("LimitExceededException", BackendBlockedError, "higher quota", id="quota"),
        pytest.param("InvalidRequestException", InvalidInputError, "edgeward_results", id="wrong"),
    ],
)
def test_what_aws_refuses_is_told_and_a_second_try_completes_it(
    rules: TopicRules, account: Account, code: str, kind: type[EdgewardError], said: str
) -> None:
    def refuse(**_: object) -> None:
        raise ClientError(failing(code), "CreateTopicRule")

    events = account.client("iot").meta.events
    events.register("before-call.iot.CreateTopicRule", refuse)
    with pytest.raises(kind, match=said) as refused:
        rules.create(SIGHTINGS)
    events.unregister("before-call.iot.CreateTopicRule", refuse)

    states = {part.name: part.state for part in rules.create(SIGHTINGS)}

    assert type(refused.value) is kind
    assert (states["edgeward-alerts"], states["edgeward_results"]) == ("unchanged", "created")


def test_a_label_that_sql_cannot_hold_is_refused_before_anything_is_made(
    rules: TopicRules, account: Account
) -> None:
    with pytest.raises(InvalidInputError, match="o'clock"):
        rules.create({"five o'clock": 0.5})

    assert account.client("iot").list_topic_rules()["rules"] == []
    assert account.client("sns").list_topics()["Topics"] == []


def test_topics_are_encrypted_by_the_key_that_is_set(aws_settings: AwsSettings) -> None:
    key = "1234abcd-12ab-34cd-56ef-1234567890ab"
    account = Account(aws_settings.model_copy(update={"kms_key": key}))

    TopicRules(account).create({})

    sns = account.client("sns")
    for topic in sns.list_topics()["Topics"]:
        attributes = sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]
        assert attributes["KmsMasterKeyId"] == key


def test_rules_without_a_role_are_refused_by_the_name_of_the_setting(
    aws_settings: AwsSettings,
) -> None:
    account = Account(aws_settings.model_copy(update={"rule_role": ""}))

    with pytest.raises(InvalidInputError, match="EDGEWARD_AWS__RULE_ROLE: is missing"):
        TopicRules(account).create({})


def test_two_projects_in_one_account_do_not_share_rules(
    rules: TopicRules, aws_settings: AwsSettings
) -> None:
    other = TopicRules(Account(aws_settings.model_copy(update={"prefix": "shop-2"})))
    rules.create({})
    other.create({})

    other.remove()

    names = {part.name for part in rules.present()}
    assert {rule_name("edgeward", purpose) for purpose in PURPOSES[:4]} <= names
    assert rule_name("shop-2", "results") == "shop_2_results"


def test_every_rule_has_our_tags(rules: TopicRules, account: Account) -> None:
    rules.create(SIGHTINGS)

    for rule in account.client("iot").list_topic_rules()["rules"]:
        answer = account.client("iot").list_tags_for_resource(resourceArn=rule["ruleArn"])
        assert _as_map(answer["tags"]) == account.tags
    for topic in account.client("sns").list_topics()["Topics"]:
        answer = account.client("sns").list_tags_for_resource(ResourceArn=topic["TopicArn"])
        assert _as_map(answer["Tags"]) == account.tags


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("SELECT * FROM 'a' WHERE label IN ('cat')", id="no-in"),
        pytest.param("SELECT * FROM 'a' WHERE label LIKE 'c%'", id="no-like"),
        pytest.param("SELECT * FROM 'a' WHERE lower_case(label) = 'a'", id="unknown-function"),
        pytest.param("SELECT * FROM 'a' WHERE (label = 'cat'", id="open"),
    ],
)
def test_the_evaluator_refuses_what_is_not_documented(sql: str) -> None:
    with pytest.raises(SqlError):
        parse(sql)


def test_the_evaluator_does_not_reach_behind_a_hyphen(
    rules: TopicRules, engine: RuleEngine, account: Account
) -> None:
    """A rule that forgets get() must not seem to work."""
    sql = "SELECT * FROM 'ml/dlr/image-classification' WHERE inference-results.Label = 'cat'"
    account.client("iot").create_topic_rule(
        ruleName="naive", topicRulePayload={"sql": sql, "actions": []}
    )

    assert engine.publish(RESULTS_TOPIC, result(), "hub-1", AT) == []


def _as_map(tags: list[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}
