"""What the Greengrass development kit (GDK 1.6) asks of a recipe, as a JSON schema.

Our own transcription of the documented rules; like the kit, it looks at lower-cased keys.
"""

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": "string"}
_SECONDS = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+$"}]}
_SETENV = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_STEP = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "required": ["script"],
            "properties": {
                "script": _TEXT,
                "timeout": _SECONDS,
                "requiresprivilege": {"type": ["boolean", "string"]},
                "skipif": {"type": "string", "pattern": r"^(onpath|exists) .+"},
                "setenv": _SETENV,
            },
        },
    ]
}
_STEPS = ("bootstrap", "install", "startup", "run", "shutdown", "recover")
_ACCESS = {"enum": ["NONE", "OWNER", "ALL"]}
_MANIFEST = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "platform": {"type": "object", "additionalProperties": _TEXT},
        "lifecycle": {
            "type": "object",
            "properties": {**dict.fromkeys(_STEPS, _STEP), "setenv": _SETENV},
        },
        "selections": {"type": "array", "items": _TEXT},
        "artifacts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["uri"],
                "properties": {
                    "uri": _TEXT,
                    "unarchive": {"enum": ["NONE", "ZIP"]},
                    "permission": {
                        "type": "object",
                        "properties": {"read": _ACCESS, "execute": _ACCESS},
                    },
                    "digest": _TEXT,
                    "algorithm": {"enum": ["SHA-256"]},
                },
            },
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["recipeformatversion", "componentname", "componentversion", "manifests"],
    "additionalProperties": False,
    "properties": {
        "recipeformatversion": {"enum": ["2020-01-25"]},
        "componentname": {"type": "string", "pattern": r"^[a-zA-Z0-9-_.]+$", "maxLength": 128},
        "componentversion": {"type": "string", "maxLength": 64},
        "componentdescription": _TEXT,
        "componentpublisher": _TEXT,
        "componenttype": {
            "enum": [
                f"aws.greengrass.{kind}" for kind in ("generic", "plugin", "nucleus", "lambda")
            ]
        },
        "componentsource": _TEXT,
        "componentconfiguration": {
            "type": "object",
            "properties": {"defaultconfiguration": {"type": "object"}},
        },
        "componentdependencies": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["versionrequirement"],
                "properties": {
                    "versionrequirement": _TEXT,
                    "dependencytype": {"enum": ["SOFT", "HARD"]},
                },
            },
        },
        "manifests": {"type": "array", "items": _MANIFEST},
        "lifecycle": {"type": "object"},
    },
}


def lower_keys(value: Any) -> Any:
    """As the kit compares keys."""
    if isinstance(value, Mapping):
        return {str(key).lower(): lower_keys(held) for key, held in value.items()}
    if isinstance(value, list):
        return [lower_keys(held) for held in value]
    return value
