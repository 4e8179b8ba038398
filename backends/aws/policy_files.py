"""The IAM policies that this project asks for, as files with the settings as placeholders.

`pipeline` is for whoever runs the flows, `sagemaker` for the jobs, `rules` for the topic rules,
`device` for the role that a core device takes, `device-iot` for its certificate. Those that end in
`-trust` say which service may take the role.
"""

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from backends.aws.account import Account
from backends.aws.checking import check
from backends.errors import EdgewardError, InvalidInputError
from backends.settings import AwsSettings

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
"""IAM's own variables, as ${iot:Connection.Thing.ThingName}, have a colon and are left alone."""
_ANY_ACCOUNT = "<account>"
_OWN_KEY_STATEMENT = "UseTheKey"
_NETWORK_STATEMENT = "JoinTheNetwork"


def policy_names() -> tuple[str, ...]:
    folder = resources.files("backends.aws") / "policies"
    return tuple(sorted(path.name.removesuffix(".json") for path in folder.iterdir()))


def rendered(name: str, settings: AwsSettings) -> dict[str, Any]:
    """The policy with the settings filled in.

    The account's id is asked of AWS; where nobody is logged in, it stays a placeholder, as roles
    do that are not set yet. Statements that the settings make needless are left out: of the KMS
    key without one, of the VPC without subnets. Raises InvalidInputError.
    """
    if name not in policy_names():
        remedy = f"Take one of {', '.join(policy_names())}."
        raise InvalidInputError(f"policy {name!r}", "there is none of that name", remedy)
    check(settings, training=False)
    policy: dict[str, Any] = json.loads(read(name))
    policy["Statement"] = [
        statement for statement in policy["Statement"] if _is_needed(statement["Sid"], settings)
    ]
    filled: dict[str, Any] = json.loads(_fill_in(json.dumps(policy), _values(settings)))
    return filled


def read(name: str) -> str:
    """The file, with its placeholders."""
    path = resources.files("backends.aws") / "policies" / f"{name}.json"
    return path.read_text(encoding="utf-8")


def _is_needed(statement: str, settings: AwsSettings) -> bool:
    if statement == _OWN_KEY_STATEMENT:
        return bool(settings.kms_key)
    if statement == _NETWORK_STATEMENT:
        return bool(settings.subnets)
    return True


def _values(settings: AwsSettings) -> Mapping[str, str]:
    account = Account(settings)
    partition, owner = account.partition, _owner(account)
    role = f"arn:{partition}:iam::{owner}:role/"
    key = settings.kms_key
    if not key.startswith("arn:"):
        key = f"arn:{partition}:kms:{account.region}:{owner}:key/{key}"
    return {
        "partition": partition,
        "region": account.region,
        "account": owner,
        "bucket": settings.bucket,
        "prefix": settings.prefix,
        "rule_prefix": settings.prefix.replace("-", "_"),
        "training_role": settings.training_role or f"{role}{settings.prefix}-training",
        "rule_role": settings.rule_role or f"{role}{settings.prefix}-rules",
        "kms_key": key,
    }


def _owner(account: Account) -> str:
    try:
        return account.identity["Account"]
    except EdgewardError:
        return _ANY_ACCOUNT


def _fill_in(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
