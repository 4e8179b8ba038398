"""Takes away what the project created in the account, one by one; what fails stops nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from botocore.exceptions import ClientError

from backends.aws.account import Account
from backends.aws.belongings import Belonging, Belongings, Inventory, object_versions
from backends.aws.faults import code_of, missing, told
from backends.errors import EdgewardError, InvalidInputError

_BATCH = 1000
"""What DeleteObjects takes at once."""
_CONFLICT = "ConflictException"
"""Greengrass's word for a deployment that is not active any more."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What came of one: `problem` is empty where it is gone."""

    what: Belonging
    done: str
    problem: str = ""


class AwsRemoval:
    """What is gone already counts as removed, so a repeated call goes on where one ended."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._ways: Mapping[str, Callable[[Belonging], str]] = {
            "topic rule": self._delete_rule,
            "SNS topic": self._delete_topic,
            "log group": self._delete_log_group,
            "training job": self._stop_training,
            "compilation job": self._stop_compilation,
            "deployment": self._delete_deployment,
            "component version": self._delete_component,
            "stored objects": self._delete_objects,
        }

    def find(self, *, data: bool) -> Inventory:
        """What there is. Raises BackendUnavailableError where nobody is logged in."""
        return Belongings(self._account).find(data=data)

    def remove(self, found: Sequence[Belonging]) -> Iterator[Removal]:
        """One by one, each told of as it is done."""
        for what in found:
            try:
                yield Removal(what, self._ways[what.kind](what))
            except EdgewardError as error:
                yield Removal(what, "", str(error))

    def _delete_rule(self, what: Belonging) -> str:
        client = self._account.client("iot")
        with told("iot", "DeleteTopicRule", what.identifier):
            _unless_gone(lambda: client.delete_topic_rule(ruleName=what.identifier))
        return "removed"

    def _delete_topic(self, what: Belonging) -> str:
        client = self._account.client("sns")
        with told("sns", "DeleteTopic", what.identifier):
            _unless_gone(lambda: client.delete_topic(TopicArn=what.identifier))
        return "removed"

    def _delete_log_group(self, what: Belonging) -> str:
        client = self._account.client("logs")
        with told("logs", "DeleteLogGroup", what.identifier):
            _unless_gone(lambda: client.delete_log_group(logGroupName=what.identifier))
        return "removed"

    def _stop_training(self, what: Belonging) -> str:
        client = self._account.client("sagemaker")
        with told("sagemaker", "StopTrainingJob", what.identifier):
            _unless_gone(lambda: client.stop_training_job(TrainingJobName=what.identifier))
        return "stopped"

    def _stop_compilation(self, what: Belonging) -> str:
        client = self._account.client("sagemaker")
        with told("sagemaker", "StopCompilationJob", what.identifier):
            _unless_gone(lambda: client.stop_compilation_job(CompilationJobName=what.identifier))
        return "stopped"

    def _delete_deployment(self, what: Belonging) -> str:
        """An active one must be cancelled first. Devices keep what they run."""
        client = self._account.client("greengrassv2")
        if what.detail:
            with told("greengrass", "CancelDeployment", what.identifier):
                _unless_gone(lambda: client.cancel_deployment(deploymentId=what.identifier))
        with told("greengrass", "DeleteDeployment", what.identifier):
            try:
                client.delete_deployment(deploymentId=what.identifier)
            except ClientError as error:
                if not missing(error):
                    raise
        return "cancelled and removed" if what.detail else "removed"

    def _delete_component(self, what: Belonging) -> str:
        client = self._account.client("greengrassv2")
        with told("greengrass", "DeleteComponent", what.name):
            _unless_gone(lambda: client.delete_component(arn=what.identifier))
        return "removed"

    def _delete_objects(self, what: Belonging) -> str:
        """All versions, and the parts of uploads that were cut off: those cost as well."""
        s3, bucket = self._account.client("s3"), self._account.settings.bucket
        deleted, refused = 0, 0
        for some in batched(object_versions(self._account, what.identifier), _BATCH):
            wanted = {"Objects": list(some), "Quiet": True}
            with told("s3", "DeleteObjectVersion", what.name):
                answer = s3.delete_objects(Bucket=bucket, Delete=wanted)
            refused += len(answer.get("Errors", ()))
            deleted += len(some) - len(answer.get("Errors", ()))
        with told("s3", "ListBucketMultipartUploads", what.name):
            pages = s3.get_paginator("list_multipart_uploads")
            uploads = [
                upload
                for page in pages.paginate(Bucket=bucket, Prefix=what.identifier)
                for upload in page.get("Uploads", ())
            ]
        for upload in uploads:
            key, upload_id = upload["Key"], upload["UploadId"]
            with told("s3", "AbortMultipartUpload", f"s3://{bucket}/{key}"):
                s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        if refused:
            reason = f"{refused} objects were not deleted"
            raise InvalidInputError(what.name, reason, "Allow s3:DeleteObjectVersion, then again.")
        return f"{deleted} removed"


def _unless_gone(call: Callable[[], object]) -> None:
    """What another has removed, or what ended by itself meanwhile, is as it should be."""
    try:
        call()
    except ClientError as error:
        if not missing(error) and not _has_ended(error):
            raise


def _has_ended(error: ClientError) -> bool:
    """A job or a deployment that is to be stopped; SageMaker says so in words only."""
    message = str(error.response.get("Error", {}).get("Message", "")).lower()
    code = code_of(error)
    return code == _CONFLICT or (code == "ValidationException" and "status" in message)
