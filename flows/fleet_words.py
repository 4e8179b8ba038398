"""What a person writes behind `edgeward deploy`, in the words of a deployment request."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.json_text import MAX_DEPTH, parse_json
from backends.local.deployment_request import DeploymentRequest, new_request
from backends.local.targets import parse_target

_EXPONENTIAL = "--exponential"
_ABORT = "--abort"


def request_of(
    target: str,
    components: Sequence[str],
    merge: str,
    reset: Sequence[str],
    *,
    name: str,
    rate: int | None,
    exponential: str,
    abort: str,
    timeout: int | None,
    rollback: bool,
) -> DeploymentRequest:
    """Raises InvalidInputError, which names the option or the field."""
    job: dict[str, Any] = {"timeoutConfig": {"inProgressTimeoutInMinutes": timeout}}
    rollout: dict[str, Any] = {"maximumPerMinute": rate}
    if exponential:
        rollout["exponentialRate"] = _exponential(exponential)
    job["jobExecutionsRolloutConfig"] = rollout
    if abort:
        job["abortConfig"] = {"criteriaList": [_criterion(abort)]}
    return new_request(
        parse_target(target),
        dict(_pair("--component", text, "NAME=VERSION") for text in components),
        _merge(merge),
        _resets(reset),
        deploymentName=name,
        deploymentPolicies={"failureHandlingPolicy": "ROLLBACK" if rollback else "DO_NOTHING"},
        iotJobConfiguration=job,
    )


def _pair(option: str, text: str, form: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise InvalidInputError(option, f"{text!r} is not {form}", f"Write {option} {form}.")
    return name, value


def _merge(text: str) -> dict[str, dict[str, Any]]:
    """A JSON object, or a file that holds one."""
    if not text:
        return {}
    inline = text.lstrip().startswith("{")
    remedy = "Give a JSON object, or a file that holds one."
    try:
        content = text if inline else Path(text).read_text(encoding="utf-8")
        value = parse_json(content, MAX_DEPTH + 1)  # a configuration for each component
    except OSError as error:
        raise InvalidInputError("--merge", str(error), remedy) from error
    except ValueError as error:
        reason = str(error) if inline else f"{text}: {error}"
        raise InvalidInputError("--merge", reason, remedy) from error
    if not isinstance(value, dict):
        raise InvalidInputError("--merge", f"{text} holds no JSON object", remedy)
    wrong = [name for name, part in value.items() if not isinstance(part, dict)]
    if wrong:
        remedy = 'Write {"component": {"key": value}}.'
        raise InvalidInputError("--merge", f"{wrong[0]} is no object", remedy)
    return dict(value)


def _resets(texts: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, pointer = _pair("--reset", text, "NAME=/POINTER")
        if not pointer.startswith("/"):
            remedy = "Begin it with a slash."
            raise InvalidInputError("--reset", f"{pointer!r} is no JSON pointer", remedy)
        found.setdefault(name, []).append("" if pointer == "/" else pointer)
    return found


def _exponential(text: str) -> dict[str, Any]:
    form = "BASE,FACTOR,NOTIFIED, e.g. 5,2,10"
    base, factor, criterion, *more = [*text.split(","), "", ""]
    by = "numberOfSucceededThings" if criterion.endswith("s") else "numberOfNotifiedThings"
    if any(more):
        raise InvalidInputError(_EXPONENTIAL, f"{text!r} has too many numbers", f"Write {form}.")
    return {
        "baseRatePerMinute": _number(_EXPONENTIAL, base, form),
        "incrementFactor": _number(_EXPONENTIAL, factor, form),
        "rateIncreaseCriteria": {by: _number(_EXPONENTIAL, criterion.removesuffix("s"), form)},
    }


def _criterion(text: str) -> dict[str, Any]:
    form = "PERCENT or PERCENT,THINGS, e.g. 20,5"
    percent, _, least = text.partition(",")
    return {
        "failureType": "ALL",
        "action": "CANCEL",
        "thresholdPercentage": _number(_ABORT, percent, form),
        "minNumberOfExecutedThings": _number(_ABORT, least or "1", form),
    }


def _number(option: str, text: str, form: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInputError(option, f"{text!r} is no number", f"Write {form}.") from error
