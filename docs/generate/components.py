"""The inference component's configuration, and the alert rules in it."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from docs.generate.tables import code, table, value
from edge import descriptions
from edge.alert_rules import DEFAULTS
from edge.contract import DEFAULT_CONFIGURATION


def keys(defaults: Mapping[str, Any], described: Mapping[str, str]) -> str:
    rows = [(code(key), _default(held), described[key]) for key, held in defaults.items()]
    return table(("key", "default", "meaning"), rows)


def _default(held: Any) -> str:
    if held is None:
        return "needed"
    if isinstance(held, Mapping):
        return _access(held)
    return code(json.dumps(held)) if held == [] else value(held)


def _access(policies: Mapping[str, Any]) -> str:
    """What an access control allows: each operation with its resources."""
    return "; ".join(
        f"{operation.partition('#')[2]} {', '.join(map(code, policy['resources']))}"
        for service in policies.values()
        for policy in service.values()
        for operation in policy["operations"]
    )


PARTS: dict[str, Callable[[], str]] = {
    "configuration": partial(keys, DEFAULT_CONFIGURATION, descriptions.CONFIGURATION),
    "alert-rules": partial(keys, DEFAULTS, descriptions.ALERT_RULE),
}
