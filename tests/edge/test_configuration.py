"""The component's configuration: what it takes, what it refuses by name, what it remembers."""

from pathlib import Path
from typing import Any

import pytest

from edge.accepted import first_configuration, next_configuration
from edge.configuration import Configuration, ConfigurationError
from edge.contract import DEFAULT_CONFIGURATION


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("PublishResultsOnTopic", " a/b ", "topic", "a/b"),
        ("PublishResultsOnTopic", "", "topic", ""),
        ("ImageDirectory", "/pictures", "image_directory", "/pictures"),
        ("ImageDirectory", "../other/pictures", "image_directory", "../other/pictures"),
        ("ImageName", "/pictures/cat.JPEG", "image_name", "/pictures/cat.JPEG"),
        ("InferenceInterval", "15", "inference_interval", 15.0),
        ("InferenceInterval", 15, "inference_interval", 15.0),
        ("InferenceInterval", "0.2", "inference_interval", 0.2),
        ("UseCamera", "True", "use_camera", True),
        ("UseCamera", True, "use_camera", True),
        ("UseCamera", "false", "use_camera", False),
        ("CameraCommand", "cat '/a b.jpg'", "camera_command", ("cat", "/a b.jpg")),
        ("ScoreThreshold", "0.25", "score_threshold", 0.25),
        ("ScoreThreshold", 1, "score_threshold", 1.0),
        ("MaxResults", "3", "max_results", 3),
        ("MaxResults", 3.0, "max_results", 3),
        ("StatisticsInterval", "60", "statistics_interval", 60.0),
        ("HardExampleScore", "0.5", "hard_example_score", 0.5),
        ("HardExampleLabels", ["cat"], "hard_example_labels", ("cat",)),
        ("HardExampleLabels", '["cat", "dog"]', "hard_example_labels", ("cat", "dog")),
        ("HardExampleMegabytes", "0.5", "hard_example_megabytes", 0.5),
        ("PicturesMayLeave", "TRUE", "pictures_may_leave", True),
        ("WatchdogSeconds", "0", "watchdog_seconds", 0.0),
    ],
)
def test_text_and_numbers_are_both_taken(
    key: str, value: object, field: str, expected: object
) -> None:
    assert getattr(Configuration.parse({key: value}), field) == expected


def test_every_key_of_the_default_configuration_is_read_or_is_the_nucleus_own() -> None:
    changed = {
        "PublishResultsOnTopic": "x",
        "ImageDirectory": "/x",
        "ImageName": "/x.png",
        "InferenceInterval": 7,
        "UseCamera": True,
        "CameraCommand": "x",
        "ScoreThreshold": 0.7,
        "MaxResults": 7,
        "StatisticsInterval": 7,
        "VariantMode": "shadow",
        "VariantShare": 0.7,
        "Alerts": [{"Name": "x", "Labels": ["x"]}],
        "HardExampleScore": 0.7,
        "HardExampleLabels": ["x"],
        "HardExampleMegabytes": 7,
        "PicturesMayLeave": True,
        "WatchdogSeconds": 7,
    }
    default = Configuration.parse({})

    assert set(changed) | {"accessControl"} == set(DEFAULT_CONFIGURATION)
    for key, value in changed.items():
        assert Configuration.parse({key: value}) != default, key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PublishResultsOnTopic", "a/#"),
        ("PublishResultsOnTopic", "x" * 257),
        ("PublishResultsOnTopic", 5),
        ("ImageDirectory", "relative/folder"),
        ("ImageName", "/pictures/cat.npy"),
        ("ImageName", "cat.jpeg"),
        ("InferenceInterval", "soon"),
        ("InferenceInterval", 0),
        ("InferenceInterval", -1),
        ("InferenceInterval", "nan"),
        ("InferenceInterval", True),
        ("InferenceInterval", None),
        ("InferenceInterval", [1]),
        ("UseCamera", "yes"),
        ("UseCamera", 1),
        ("CameraCommand", "echo 'open"),
        ("ScoreThreshold", 1.5),
        ("ScoreThreshold", "inf"),
        ("MaxResults", 0),
        ("MaxResults", 2.5),
        ("StatisticsInterval", 0),
        ("VariantMode", "both"),
        ("VariantMode", False),
        ("VariantShare", 1.1),
        ("Alerts", {}),
        ("Alerts", [{"Name": "x", "Labels": ["x"], "MinScore": "2"}]),
        ("HardExampleScore", 1.1),
        ("HardExampleLabels", "cat"),
        ("HardExampleLabels", [1]),
        ("HardExampleMegabytes", -1),
        ("PicturesMayLeave", "perhaps"),
        ("WatchdogSeconds", "0.5"),
        ("InferenceIntervall", 5),
    ],
)
def test_what_cannot_be_is_refused_with_key_value_and_what_is_allowed(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Configuration.parse({key: value})

    assert (caught.value.key, caught.value.value) == (key, value)
    assert str(caught.value).startswith(f"{key}: ")
    assert caught.value.allowed


def test_a_camera_needs_a_command() -> None:
    with pytest.raises(ConfigurationError, match="CameraCommand"):
        Configuration.parse({"UseCamera": True, "CameraCommand": " "})


def test_the_last_good_configuration_outlives_a_restart(tmp_path: Path) -> None:
    memory = tmp_path / "accepted.json"
    good = first_configuration({"InferenceInterval": 5, "accessControl": {}}, memory)

    kept = next_configuration({"InferenceInterval": "never"}, good, memory)
    restarted = first_configuration({"InferenceInterval": "never"}, memory)

    assert kept == restarted == good
    assert "accessControl" not in memory.read_text()


@pytest.mark.parametrize("content", [None, "{", '{"InferenceInterval": "never"}'])
def test_without_a_good_configuration_the_bad_one_is_the_error(
    tmp_path: Path, content: str | None
) -> None:
    memory = tmp_path / "accepted.json"
    if content is not None:
        memory.write_text(content)

    with pytest.raises(ConfigurationError, match="MaxResults"):
        first_configuration({"MaxResults": "many"}, memory)


def test_keys_of_aws_s_public_component_that_mean_nothing_here_are_let_be() -> None:
    merged = {"Accelerator": "cpu", "ModelResourceKey": {"x86_64": "DLR-x"}, "MaxResults": "3"}

    assert Configuration.parse(merged).max_results == 3
