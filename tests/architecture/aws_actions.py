"""Which IAM actions the adapters for AWS can call, read from their code; and which calls need.

IAM's actions are not the API's operations: HeadObject is allowed by s3:GetObject, a client that
connects by MQTT calls no operation at all. What differs stands here, and only here.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from botocore import xform_name
from botocore.session import get_session

from backends.aws.account import Call
from backends.settings import PROJECT

SERVICES = {
    "s3": "s3",
    "sagemaker": "sagemaker",
    "iot": "iot",
    "greengrass": "greengrassv2",
    "sns": "sns",
    "logs": "logs",
    "sts": "sts",
    "iam": "iam",
    "tag": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
    "kms": "kms",
}
"""The service in IAM's actions, and boto3's name of its client."""

_OF_EVENTS = {
    "s3": "s3",
    "sagemaker": "sagemaker",
    "iot": "iot",
    "greengrassv2": "greengrass",
    "sns": "sns",
    "cloudwatch-logs": "logs",
    "sts": "sts",
    "iam": "iam",
    "resource-groups-tagging-api": "tag",
    "service-quotas": "servicequotas",
    "kms": "kms",
}

OPERATIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
}
"""Operations whose action has another name."""

NO_ACTION = {"sts:GetCallerIdentity"}
"""Anybody may call it; no policy can deny or allow it."""

NEEDS = {
    "s3:PutObject": {"s3:PutObjectTagging", "kms:GenerateDataKey", "kms:Decrypt"},
    "s3:DeleteObject": {"s3:DeleteObjectVersion"},
    "sagemaker:CreateTrainingJob": {"sagemaker:AddTags", "iam:PassRole", "kms:DescribeKey"},
    "sagemaker:CreateCompilationJob": {"sagemaker:AddTags", "iam:PassRole"},
    "greengrass:CreateComponentVersion": {"greengrass:TagResource", "s3:GetObject"},
    "greengrass:CreateDeployment": {
        "greengrass:TagResource",
        "iot:CancelJob",
        "iot:CreateJob",
        "iot:DeleteThingShadow",
        "iot:DescribeJob",
        "iot:DescribeThing",
        "iot:DescribeThingGroup",
        "iot:GetThingShadow",
        "iot:UpdateJob",
        "iot:UpdateThingShadow",
    },
    "iot:DescribeEndpoint": {"iot:Connect", "iot:Subscribe", "iot:Receive"},
    "iot:CreateTopicRule": {"iot:TagResource", "iam:PassRole"},
    "iot:ReplaceTopicRule": {"iam:PassRole"},
    "sns:CreateTopic": {"sns:TagResource"},
    "logs:CreateLogGroup": {"logs:TagResource"},
}
"""What a call needs beside its own action: tags, roles handed on, what Greengrass does for us."""

_TRANSFERS = {
    "upload_fileobj": {"s3:PutObject", "s3:AbortMultipartUpload"},
    "upload_file": {"s3:PutObject", "s3:AbortMultipartUpload"},
    "download_fileobj": {"s3:GetObject"},
    "download_file": {"s3:GetObject"},
}
_ACTION = re.compile(r"[A-Z][A-Za-z0-9]+")


def told_actions(folder: Path = PROJECT / "backends" / "aws") -> set[str]:
    """Of every call in the code that begins with a service and an action, as `told(…)` does."""
    return {
        f"{service}:{action}"
        for call in _calls(folder)
        for service, action in [_first_texts(call)]
        if service in SERVICES and _ACTION.fullmatch(action)
    }


def called_actions(folder: Path = PROJECT / "backends" / "aws") -> list[frozenset[str]]:
    """Of every method of a boto3 client and every paginator: the actions that it may stand for.

    A method's name may be one of several services' (tag_resource), hence a set for each. Names of
    one word (search) are too common to mean anything.
    """
    methods = _methods()
    found = []
    for call in _calls(folder):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name == "get_paginator" or name.startswith("_"):
            name = next((text for text in _texts(call) if text in methods), "")
        if name in methods and "_" in name:
            found.append(frozenset(methods[name]))
        found += [frozenset({action}) for action in _TRANSFERS.get(name, ())]
    return found


def needed_actions(called: Iterable[str]) -> set[str]:
    """With what those calls need beside themselves."""
    wanted = set(called) - NO_ACTION
    return wanted.union(*(NEEDS.get(action, set()) for action in wanted))


def action_of(call: Call) -> str:
    """The IAM action of a call in a transcript."""
    operation = f"{_OF_EVENTS[call.service]}:{call.operation}"
    return OPERATIONS.get(operation, operation)


def known_actions() -> set[str]:
    """Every action that can be told: the operations of the services, and IAM's own names."""
    operations = {
        f"{service}:{operation}"
        for service, client in SERVICES.items()
        for operation in get_session().get_service_model(client).operation_names
    }
    return (operations - set(OPERATIONS)) | set(OPERATIONS.values()) | {"s3:DeleteObjectVersion"}


def _methods() -> dict[str, set[str]]:
    methods: dict[str, set[str]] = {}
    for service, client in SERVICES.items():
        for operation in get_session().get_service_model(client).operation_names:
            action = f"{service}:{operation}"
            methods.setdefault(xform_name(operation), set()).add(OPERATIONS.get(action, action))
    return methods


def _calls(folder: Path) -> Iterator[ast.Call]:
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield node


def _first_texts(call: ast.Call) -> tuple[str, str]:
    first, second, *_ = (*(_text(argument) for argument in call.args[:2]), "", "")
    return first, second


def _texts(call: ast.Call) -> Iterator[str]:
    return (_text(argument) for argument in call.args)


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
