"""targets.toml: what is wrong in it is refused by name."""

from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.settings import PROJECT
from tasks.business_understanding import load_targets, parse_targets


def test_the_projects_own_targets_are_valid() -> None:
    targets = load_targets(PROJECT / "targets.toml")

    assert "child" in targets.classes
    assert targets.accuracy.min_recall["child"] > 0


@pytest.mark.parametrize(
    ("table", "key"),
    [
        pytest.param({"device": {"max_latency_ms": 3}}, "device.max_latency_ms", id="unknown-key"),
        pytest.param({"devise": {}}, "devise", id="unknown-table"),
        pytest.param({"accuracy": {"min_top1": 1.5}}, "accuracy.min_top1", id="share-above-one"),
        pytest.param({"accuracy": {"min_recall": {"a": -1}}}, "accuracy.min_recall.a", id="recall"),
        pytest.param({"drift": {"min_samples": 0}}, "drift.min_samples", id="no-samples"),
        pytest.param({"cost": {"max_usd": -1}}, "cost.max_usd", id="negative-cost"),
        pytest.param({"objective": ""}, "objective", id="no-objective"),
        pytest.param(
            {"classes": ["cat"], "accuracy": {"min_recall": {"dog": 0.5}}},
            "accuracy.min_recall.dog",
            id="recall-of-a-stranger",
        ),
    ],
)
def test_a_wrong_key_is_named(table: dict[str, object], key: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_targets(table, "targets.toml")

    assert f"targets.toml: {key}" in str(caught.value)
    assert caught.value.exit_status == 2


def test_an_unknown_key_is_told_its_neighbour() -> None:
    with pytest.raises(InvalidInputError, match=r"Did you mean device\.max_latency_p95_ms\?"):
        parse_targets({"device": {"max_latency_p95": 3}}, "targets.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"classes = [", "not TOML", id="not-toml"),
        pytest.param(b"\xff\xfe", "not text", id="not-text"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidInputError, match=reason) as caught:
        load_targets(file)

    assert str(file) in str(caught.value)
