"""What the rules stored is what monitoring reads: the same as on this machine."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from backends.artifacts import StoredMessage, Unusable
from backends.aws import results_store
from backends.aws.account import Account, Call
from backends.aws.results_store import StoredMessages
from backends.aws.topic_rules import TopicRules
from backends.errors import BackendBlockedError
from edge.contract import encode, statistics_message, statistics_topic
from edge.statistics import Summary
from tasks.device_comparison import MonitorLimits
from tasks.monitoring import judge_windows, remember_judged
from tasks.statistics_store import read_new_windows
from tests.backends.aws.conftest import BUCKET, failing
from tests.fakes.rule_engine import RuleEngine
from tests.tasks.windows import NOON, baseline, seen

DAY = timedelta(days=1)


@pytest.fixture
def store(account: Account) -> StoredMessages:
    return StoredMessages(account, "statistics")


def publish(engine: RuleEngine, thing: str, window: Summary, at: datetime) -> None:
    message = json.loads(encode(statistics_message(thing, window.to_dict())))
    engine.publish(statistics_topic(thing), message, thing, int(at.timestamp() * 1000))


def put(account: Account, key: str, body: bytes) -> None:
    account.client("s3").put_object(Bucket=BUCKET, Key=f"edgeward/statistics/{key}", Body=body)


def test_monitoring_judges_what_the_rules_stored_once(
    account: Account, store: StoredMessages, tmp_path: Path
) -> None:
    TopicRules(account).create({})
    engine = RuleEngine(account)
    baseline(tmp_path, seen(200, seed=7))
    publish(engine, "hub-1", seen(150, 1, brightness=0.15), NOON)
    publish(engine, "hub-2", seen(150, 2), NOON)

    found = read_new_windows(store, tmp_path, "hub-1")
    report = judge_windows(tmp_path, found, MonitorLimits())
    remember_judged(tmp_path, found, report)
    again = read_new_windows(store, tmp_path, "hub-1")

    assert (report.status, report.drifted) == ("drift", ("input.brightness",))
    assert (report.windows, report.pictures, report.skipped) == (1, 150, {})
    assert again.windows == ()


def test_a_message_that_the_rule_stored_twice_counts_once(
    account: Account, store: StoredMessages, tmp_path: Path
) -> None:
    message = encode(statistics_message("hub-1", seen(150, 1).to_dict()))
    at = int(NOON.timestamp() * 1000)
    put(account, f"date={NOON:%Y-%m-%d}/thing=hub-1/{at}-a.json", message)
    put(account, f"date={NOON:%Y-%m-%d}/thing=hub-1/{at + 1}-b.json", message)

    found = read_new_windows(store, tmp_path, "hub-1")

    assert (len(found.windows), found.repeated) == (1, 1)


def test_only_the_days_that_may_hold_something_new_are_listed(
    account: Account, store: StoredMessages, calls: list[Call]
) -> None:
    for days in range(5):
        at = NOON + days * DAY
        milliseconds = int(at.timestamp() * 1000)
        put(account, f"date={at:%Y-%m-%d}/thing=hub-1/{milliseconds}-a.json", b"%d" % days)
    calls.clear()

    found = list(store.stored("hub-1", f"{NOON + 3 * DAY:%Y-%m-%d}"))

    assert [message.payload for message in found if isinstance(message, StoredMessage)] == [
        "3",
        "4",
    ]
    assert [message.received_at for message in found if isinstance(message, StoredMessage)] == [
        (NOON + 3 * DAY).astimezone(UTC).isoformat(),
        (NOON + 4 * DAY).astimezone(UTC).isoformat(),
    ]
    assert [call.operation for call in calls].count("ListObjectsV2") == 4


def test_more_than_one_page_is_read_to_its_end(
    account: Account, store: StoredMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_store, "_PAGE", 3)
    at = int(NOON.timestamp() * 1000)
    for number in range(20):
        put(account, f"date={NOON:%Y-%m-%d}/thing=hub-1/{at + number}-a.json", b"%d" % number)

    found = [one for one in store.stored("hub-1", "") if isinstance(one, StoredMessage)]

    assert [message.payload for message in found] == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        pytest.param("1-a.json", b"\xff\xfe", "is no text", id="bytes"),
        pytest.param("readme.txt", b"{}", "is no message", id="other-name"),
        pytest.param("1-a.json", b" " * (results_store.MAX_BYTES + 1), "is no message", id="huge"),
        pytest.param("9" * 40 + "-a.json", b"{}", "is no message", id="no-moment"),
    ],
)
def test_what_is_no_message_is_told_and_stops_nothing(
    account: Account, store: StoredMessages, name: str, body: bytes, reason: str
) -> None:
    folder = f"date={NOON:%Y-%m-%d}/thing=hub-1"
    put(account, f"{folder}/{name}", body)
    put(account, f"{folder}/{int(NOON.timestamp() * 1000)}-good.json", b"{}")

    found = list(store.stored("hub-1", ""))

    (bad,) = [one for one in found if isinstance(one, Unusable)]
    assert bad.reason == f"{name} {reason}" or bad.reason.startswith(f"{name} {reason}")
    assert [one.payload for one in found if isinstance(one, StoredMessage)] == ["{}"]


def test_a_denied_listing_is_an_error_and_no_empty_result(
    account: Account, store: StoredMessages
) -> None:
    def deny(**_: object) -> None:
        raise ClientError(failing("AccessDenied", 403), "ListObjectsV2")

    account.client("s3").meta.events.register("before-call.s3.ListObjectsV2", deny)

    with pytest.raises(BackendBlockedError, match="Allow s3:ListBucket"):
        list(store.stored("hub-1", ""))
