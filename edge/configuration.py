"""The inference component's configuration, checked before it is used.

Nucleus lite hands every scalar of a YAML recipe over as text, the classic nucleus keeps types,
and AWS's recipes write numbers as texts: each key takes both.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Tuple

from edge.alert_rules import AlertRule, parse_alert_rules, parse_labels
from edge.contract import DEFAULT_CONFIGURATION

_NO_EFFECT = {"Accelerator", "ModelResourceKey"}
"""Keys of AWS's public component, which its users may merge here: there is one model, on a CPU."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")

_DAY = 86_400.0


class ConfigurationError(ValueError):
    """A key of the configuration is unknown or its value impossible; says what is allowed."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(key, value, allowed)
        self.key = key
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.key}: {self.value!r} is not possible, it must be {self.allowed}"


@dataclass(frozen=True)
class Configuration:
    """What the component is told to do. Intervals are seconds, the threshold is in [0, 1].

    With `use_camera` the picture is what `camera_command` writes to its standard output;
    otherwise it is `image_name` (within `image_directory`, or absolute), and without a name
    every picture under `image_directory`. An empty `topic` means: log results, publish none.
    `variant_mode` is "off", "shadow" or "split".
    Pictures below `hard_example_score`, and those of `hard_example_labels`, are kept on the disk;
    they leave the device only where `pictures_may_leave`.
    """

    topic: str
    image_directory: str
    image_name: str
    inference_interval: float
    use_camera: bool
    camera_command: Tuple[str, ...]
    score_threshold: float
    max_results: int
    statistics_interval: float
    variant_mode: str
    variant_share: float
    alerts: Tuple[AlertRule, ...]
    hard_example_score: float
    hard_example_labels: Tuple[str, ...]
    hard_example_megabytes: float
    pictures_may_leave: bool
    watchdog_seconds: float

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Configuration:
        """Read a configuration as the nucleus gives it; a key left out has its default.

        Raises ConfigurationError for an unknown key, an impossible value, or values that do not
        go together.
        """
        for key in set(values) - _NO_EFFECT:
            if key not in DEFAULT_CONFIGURATION:
                known = ", ".join(DEFAULT_CONFIGURATION)
                raise ConfigurationError(key, values[key], f"left out: the keys are {known}")
        merged = {**DEFAULT_CONFIGURATION, **values}
        fields: Dict[str, Any] = {
            name: read(key, merged[key]) for name, (key, read) in _FIELDS.items()
        }
        configuration = cls(**fields)
        configuration._check()
        return configuration

    def _check(self) -> None:
        if self.use_camera and not self.camera_command:
            raise ConfigurationError("CameraCommand", "", "a command, for UseCamera is true")
        if self.use_camera or not self.image_name:
            return
        if not self.image_directory and not Path(self.image_name).is_absolute():
            allowed = "an absolute path, or a name within ImageDirectory, which is empty"
            raise ConfigurationError("ImageName", self.image_name, allowed)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ConfigurationError(key, value, "a text")
    return value.strip()


def _topic(key: str, value: Any) -> str:
    topic = _text(key, value)
    if any(sign in topic for sign in "+#") or len(topic.encode()) > 256:  # noqa: PLR2004
        allowed = "a topic without wildcards of at most 256 bytes (empty: publish no results)"
        raise ConfigurationError(key, value, allowed)
    return topic


def _directory(key: str, value: Any) -> str:
    directory = _text(key, value)
    if directory and not Path(directory).is_absolute() and not directory.startswith("../"):
        allowed = "the absolute path of a folder, ../COMPONENT/FOLDER, or empty"
        raise ConfigurationError(key, value, allowed)
    return directory


def _picture(key: str, value: Any) -> str:
    name = _text(key, value)
    if name and not name.lower().endswith(PICTURE_SUFFIXES):
        allowed = "a picture (" + " ".join(PICTURE_SUFFIXES) + "), or empty"
        raise ConfigurationError(key, value, allowed)
    return name


def _boolean(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ConfigurationError(key, value, "true or false")


def _command(key: str, value: Any) -> Tuple[str, ...]:
    try:
        return tuple(shlex.split(_text(key, value)))
    except ValueError:  # an open quote
        raise ConfigurationError(key, value, "a command as in a shell, quotes closed") from None


def _number(low: float, high: float, unit: str) -> Callable[[str, Any], float]:
    allowed = f"a number from {low:.10g} to {high:.10g}{unit}"

    def read(key: str, value: Any) -> float:
        number = math.nan
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                raise ConfigurationError(key, value, allowed) from None
        if not low <= number <= high:  # false for nan
            raise ConfigurationError(key, value, allowed)
        return number

    return read


def _choice(*words: str) -> Callable[[str, Any], str]:
    def read(key: str, value: Any) -> str:
        word = _text(key, value).lower()
        if word not in words:
            raise ConfigurationError(key, value, "one of " + ", ".join(words))
        return word

    return read


def _count(low: int, high: int) -> Callable[[str, Any], int]:
    read_number = _number(low, high, "")

    def read(key: str, value: Any) -> int:
        number = read_number(key, value)
        if number != int(number):
            raise ConfigurationError(key, value, f"a whole number from {low} to {high}")
        return int(number)

    return read


def _alerts(key: str, value: Any) -> Tuple[AlertRule, ...]:
    try:
        return parse_alert_rules(value)
    except ValueError as error:
        raise ConfigurationError(key, value, f"a list of rules; {error}") from error


def _labels(key: str, value: Any) -> Tuple[str, ...]:
    try:
        return parse_labels(value, key)
    except ValueError as error:
        raise ConfigurationError(key, value, f"a list of labels; {error}") from error


def _watchdog(key: str, value: Any) -> float:
    seconds = _number(0, _DAY, " seconds")(key, value)
    if 0 < seconds < 1:
        raise ConfigurationError(key, value, "0 (no watchdog), or at least 1 second")
    return seconds


_FIELDS: Mapping[str, Tuple[str, Callable[[str, Any], Any]]] = {
    "topic": ("PublishResultsOnTopic", _topic),
    "image_directory": ("ImageDirectory", _directory),
    "image_name": ("ImageName", _picture),
    "inference_interval": ("InferenceInterval", _number(0.01, 30 * _DAY, " seconds")),
    "use_camera": ("UseCamera", _boolean),
    "camera_command": ("CameraCommand", _command),
    "score_threshold": ("ScoreThreshold", _number(0, 1, "")),
    "max_results": ("MaxResults", _count(1, 1000)),
    "statistics_interval": ("StatisticsInterval", _number(1, _DAY, " seconds")),
    "variant_mode": ("VariantMode", _choice("off", "shadow", "split")),
    "variant_share": ("VariantShare", _number(0, 1, "")),
    "alerts": ("Alerts", _alerts),
    "hard_example_score": ("HardExampleScore", _number(0, 1, "")),
    "hard_example_labels": ("HardExampleLabels", _labels),
    "hard_example_megabytes": ("HardExampleMegabytes", _number(0, 100_000, " MB")),
    "pictures_may_leave": ("PicturesMayLeave", _boolean),
    "watchdog_seconds": ("WatchdogSeconds", _watchdog),
}
