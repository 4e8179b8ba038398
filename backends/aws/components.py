"""Greengrass component versions in the account: recipes with the service, artifacts in the bucket.

A version is claimed by an object that only the first of several publishers can write
(`components/<name>/<version>/content`, made with `If-None-Match: *`), so that no two ever write the
artifacts of one version. A claim holds the SHA-256 of what the version is about; the version itself
carries it as a tag. A publication that was cut off is taken up by the next one with that content.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from botocore.exceptions import ClientError

from backends.artifacts import ComponentVersion
from backends.aws.account import Account
from backends.aws.faults import code_of, missing, told
from backends.aws.objects import S3Objects
from backends.aws.waiting import found, looks
from backends.component_versions import (
    FIRST,
    artifacts_of,
    by_name,
    check_name,
    content_of,
    digests_of,
    file_of,
    in_order,
    next_version,
    with_digests,
    with_version,
)
from backends.errors import BackendUnavailableError, InvalidInputError, PackageError
from backends.files import replace_file
from backends.recipe_rules import check_recipe

CONTENT = "edgeward:content"
"""Tag of a component version: SHA-256 of its recipe and artifacts, but for version and Uris."""

DEPLOYABLE_SECONDS = 120.0
ATTEMPTS = 20
"""Versions that may be taken by others, one after the other, before we give up."""

_LOOK_BACK = 50  # newest versions that are looked at for the same content
_CLAIM = "content"
_UNDER_WAY = ("REQUESTED", "INITIATED")


class GreengrassComponents:
    """The ports ComponentStore and ComponentArchive. Safe from several processes at once.

    `recipes` is a folder of this machine for copies of the published recipes. Every method raises
    InvalidInputError, BackendUnavailableError or BackendBlockedError, and may be repeated.
    """

    def __init__(
        self,
        account: Account,
        objects: S3Objects,
        recipes: Path | None = None,
        deployable_seconds: float = DEPLOYABLE_SECONDS,
    ) -> None:
        self._account = account
        self._objects = objects
        self._recipes = recipes or Path(tempfile.gettempdir()) / "edgeward-recipes"
        self._deployable_seconds = deployable_seconds

    def publish(
        self, recipe: Mapping[str, object], artifacts: Sequence[Path], first: str = FIRST
    ) -> ComponentVersion:
        """See the port; returns when the version can be deployed.

        Raises PackageError too: a recipe that a nucleus would refuse, an artifact that is missing,
        left over or not what its Unarchive says, a version that Greengrass calls FAILED.
        """
        name = check_name(str(recipe.get("ComponentName", "")))
        files = by_name(name, artifacts)
        draft = with_digests(name, recipe, files)
        check_recipe(with_version(draft, first, lambda file: self._uri(name, first, file)))
        content = content_of(draft)
        versions = self.versions(name)
        for version in reversed(versions[-_LOOK_BACK:]):
            if self._has(name, version, content, draft):
                return self._published(name, version, content)
        version = next_version(versions, first)
        for _ in range(ATTEMPTS):
            if self._claim(name, version, content):
                for file in files.values():
                    self._objects.put(file, _key(name, version, file.name))
                if self._create(name, version, draft, content):
                    self._check_artifacts(name, version, draft)
                    return self._published(name, version, content)
                if self._has(name, version, content, draft):
                    return self._published(name, version, content)
            version = next_version([version], first)
        reason = f"{ATTEMPTS} versions before {version} were taken by others"
        raise BackendUnavailableError(f"greengrass ({name})", reason, "Publish it again.")

    def find(self, name: str, version: str) -> ComponentVersion | None:
        """See the port; its `sha256` is what its tag says, or else that of the recipe as it is."""
        check_name(name)
        described = self._describe(name, version)
        if described is None or _state(described) != "DEPLOYABLE":
            return None
        content = (described.get("tags") or {}).get(CONTENT)
        return self._published(name, version, content)

    def fetch(self, name: str, version: str, into: Path) -> Sequence[Path]:
        """See the port."""
        if self._describe(name, version) is None:
            known = ", ".join(self.versions(check_name(name))) or "none"
            raise InvalidInputError(
                f"{name} {version}", "there is no such version", f"Published: {known}."
            )
        uris = {each["Uri"] for each in artifacts_of(self._recipe(name, version))}
        return [self._objects.get(uri, into / file_of(uri)) for uri in sorted(uris)]

    def versions(self, name: str) -> tuple[str, ...]:
        """All versions of a component, oldest first."""
        arn = self._arn(name)
        pages = self._greengrass.get_paginator("list_component_versions")
        with told("greengrass", "ListComponentVersions", arn):
            try:
                return in_order(
                    entry["componentVersion"]
                    for page in pages.paginate(arn=arn)
                    for entry in page.get("componentVersions", ())
                )
            except ClientError as error:
                if missing(error):
                    return ()
                raise

    def _claim(self, name: str, version: str, content: str) -> bool:
        """Whether this content may have the version: as the first, or once more."""
        key = _key(name, version, _CLAIM)
        uri = self._objects.uri(key)
        bucket, _, full_key = uri.removeprefix("s3://").partition("/")
        with told("s3", "PutObject", uri):
            try:
                self._account.client("s3").put_object(
                    Bucket=bucket,
                    Key=full_key,
                    Body=content.encode(),
                    IfNoneMatch="*",
                    ChecksumAlgorithm="SHA256",
                    Tagging=urlencode(self._account.tags),
                    **_encryption(self._account.settings.kms_key),
                )
            except ClientError as error:
                if code_of(error) == "ConditionalRequestConflict":
                    return False  # another one claims it at this very moment
                if code_of(error) != "PreconditionFailed":
                    raise
            else:
                return True
        with told("s3", "GetObject", uri):
            claim = self._account.client("s3").get_object(Bucket=bucket, Key=full_key)
            return bool(claim["Body"].read().decode() == content)

    def _create(self, name: str, version: str, draft: Mapping[str, Any], content: str) -> bool:
        """Returns when it can be deployed; False: it was there already."""
        final = with_version(draft, version, lambda file: self._uri(name, version, file))
        for artifact in artifacts_of(final):
            del artifact["Digest"], artifact["Algorithm"]  # the service fills them in
        with told("greengrass", "CreateComponentVersion", f"{name} {version}"):
            try:
                self._greengrass.create_component_version(
                    inlineRecipe=json.dumps(final).encode(),
                    tags={**self._account.tags, CONTENT: content},
                )
            except ClientError as error:
                if code_of(error) not in ("ConflictException", "RequestAlreadyInProgressException"):
                    raise
                return False
        self._wait_until_deployable(name, version)
        return True

    def _check_artifacts(self, name: str, version: str, draft: Mapping[str, Any]) -> None:
        if not _are_those(digests_of(self._recipe(name, version)), draft):
            reason = "Greengrass read other bytes than were uploaded: somebody wrote to its folder"
            raise PackageError(f"{name} {version}", reason)

    def _wait_until_deployable(self, name: str, version: str) -> None:
        """A new version may not be found at first. Raises PackageError where it FAILED."""
        state = ""
        for _ in looks(self._deployable_seconds):
            described = self._describe(name, version)
            state = _state(described)
            if state == "DEPLOYABLE":
                return
            if described is not None and state not in _UNDER_WAY:
                raise PackageError(f"{name} {version}", _reason(described))
        reason = f"it is {state or 'not found'} after {self._deployable_seconds:g} s"
        remedy = "Publish it again: it goes on then."
        raise BackendUnavailableError(f"greengrass ({name} {version})", reason, remedy)

    def _has(self, name: str, version: str, content: str, draft: Mapping[str, Any]) -> bool:
        """Whether a version is of this content, with these very artifacts, and can be deployed."""
        described = self._describe(name, version)
        if described is None or (described.get("tags") or {}).get(CONTENT) != content:
            return False
        if _state(described) in _UNDER_WAY:
            self._wait_until_deployable(name, version)
        elif _state(described) != "DEPLOYABLE":
            return False
        return _are_those(digests_of(self._recipe(name, version)), draft)

    def _published(self, name: str, version: str, content: str | None) -> ComponentVersion:
        recipe = self._recipe(name, version)
        path = self._recipes / name / f"{version}.yaml"
        text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=1000)
        replace_file(path, text, mode=0o644)
        return ComponentVersion(name, version, path, content or content_of(recipe))

    def _describe(self, name: str, version: str) -> Mapping[str, Any] | None:
        arn = self._arn(name, version)
        with told("greengrass", "DescribeComponent", arn):
            try:
                described: Mapping[str, Any] = self._greengrass.describe_component(arn=arn)
            except ClientError as error:
                if missing(error):
                    return None
                raise
        return described

    def _recipe(self, name: str, version: str) -> dict[str, Any]:
        arn = self._arn(name, version)
        with told("greengrass", "GetComponent", arn):
            answer = found(
                lambda: self._greengrass.get_component(arn=arn, recipeOutputFormat="JSON")
            )
        return dict(json.loads(answer["recipe"]))

    def _arn(self, name: str, version: str = "") -> str:
        account = self._account
        owner = account.identity["Account"]
        arn = f"arn:{account.partition}:greengrass:{account.region}:{owner}:components:{name}"
        return f"{arn}:versions:{version}" if version else arn

    def _uri(self, name: str, version: str, file: str) -> str:
        return self._objects.uri(_key(name, version, file))

    @property
    def _greengrass(self) -> Any:
        return self._account.client("greengrassv2")


def _key(name: str, version: str, file: str) -> str:
    return f"components/{name}/{version}/{file}"


def _are_those(given: Mapping[str, str], draft: Mapping[str, Any]) -> bool:
    """Whether the digests that Greengrass gives are those of the files."""
    wanted = digests_of(draft)
    return set(given) == set(wanted) and all(
        digest in ("", wanted[file]) for file, digest in given.items()
    )


def _encryption(kms_key: str) -> dict[str, str]:
    if kms_key:
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
    return {"ServerSideEncryption": "AES256"}


def _state(described: Mapping[str, Any] | None) -> str:
    return str((described or {}).get("status", {}).get("componentState", ""))


def _reason(described: Mapping[str, Any]) -> str:
    status = described.get("status", {})
    errors = [f"{where}: {what}" for where, what in (status.get("errors") or {}).items()]
    said = "; ".join([str(status.get("message", "")), *errors]).strip("; ")
    return f"Greengrass calls it {_state(described)}: {said}"
