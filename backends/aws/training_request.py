"""What SageMaker is asked to train: the request, from the settings and the inputs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends import training_job
from backends.aws.account import Account
from backends.aws.objects import S3Objects
from backends.aws.sagemaker_sdk import algorithm_image, sdk
from backends.errors import InvalidInputError

RECORDS, EARLIER_MODEL = "application/x-recordio", "application/x-sagemaker-model"
CHECKPOINTS = "/opt/ml/checkpoints"
# Instances with disks of their own (g4dn, m5d, p4d, g5, …) encrypt these themselves and refuse a
# key for them. Source: Amazon SageMaker API Reference, ResourceConfig, VolumeKmsKeyId.
_OWN_DISKS = re.compile(r"ml\.([a-z]+\d[a-z]*d[a-z]*|g5|g6e?|g7e?|p5e?n?|p6[-a-z0-9]*|trn\w+)\.")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What decides the model: the program, its hyperparameters, and its data by channel.

    `channels` are folders in S3, `digests` the SHA-256 of the one file in each.
    """

    image: str
    hyperparameters: Mapping[str, str]
    channels: Mapping[str, str]
    digests: Mapping[str, str]

    @property
    def content(self) -> dict[str, object]:
        """The same for the same model, wherever its data lies."""
        return {
            "image": self.image,
            "hyperparameters": dict(self.hyperparameters),
            "channels": dict(self.digests),
        }


def training_image(account: Account) -> str:
    """One's own image, or where the region has the built-in algorithm's."""
    if account.settings.training_image:
        return account.settings.training_image
    try:
        return algorithm_image(account.region)
    except ValueError as error:
        raise InvalidInputError(
            "EDGEWARD_AWS__REGION",
            f"there is no built-in image classification: {error}",
            "Take a region that has it, or set EDGEWARD_AWS__TRAINING_IMAGE.",
        ) from error


def training_request(
    account: Account, objects: S3Objects, inputs: Inputs, name: str, resumes: str
) -> dict[str, Any]:
    """The arguments of the SDK's TrainingJob.create; `resumes` is whose checkpoints it takes on."""
    settings, (_, shapes) = account.settings, sdk()
    request = {
        "training_job_name": name,
        "role_arn": settings.training_role,
        "hyper_parameters": dict(inputs.hyperparameters),
        "algorithm_specification": _algorithm(shapes, inputs.image),
        "input_data_config": [
            _channel(shapes, channel, uri) for channel, uri in inputs.channels.items()
        ],
        "output_data_config": shapes.OutputDataConfig(
            s3_output_path=objects.uri("training"), **_key("kms_key_id", settings.kms_key)
        ),
        "resource_config": _resources(shapes, account),
        "stopping_condition": _limits(shapes, account),
        "enable_managed_spot_training": settings.spot,
        # Our own program asks nothing of the network; SageMaker brings data and takes results.
        "enable_network_isolation": bool(settings.training_image),
        "tags": [{"key": key, "value": text} for key, text in account.tags.items()],
    }
    if settings.spot:
        request["checkpoint_config"] = shapes.CheckpointConfig(
            s3_uri=f"{objects.uri(f'checkpoints/{resumes}')}/", local_path=CHECKPOINTS
        )
    if settings.subnets:
        request["vpc_config"] = shapes.VpcConfig(
            subnets=list(settings.subnets), security_group_ids=list(settings.security_groups)
        )
    return request


def _algorithm(shapes: Any, image: str) -> Any:
    metrics = [
        shapes.MetricDefinition(name=name, regex=regex)
        for name, regex in training_job.METRICS.items()
    ]
    return shapes.AlgorithmSpecification(
        training_image=image, training_input_mode="File", metric_definitions=metrics
    )


def _channel(shapes: Any, name: str, uri: str) -> Any:
    source = shapes.S3DataSource(
        s3_data_type="S3Prefix", s3_uri=uri, s3_data_distribution_type="FullyReplicated"
    )
    return shapes.Channel(
        channel_name=name,
        content_type=EARLIER_MODEL if name == training_job.MODEL else RECORDS,
        data_source=shapes.DataSource(s3_data_source=source),
        compression_type="None",
    )


def _resources(shapes: Any, account: Account) -> Any:
    settings = account.settings
    has_own_disks = _OWN_DISKS.match(settings.instance_type)
    return shapes.ResourceConfig(
        instance_type=settings.instance_type,
        instance_count=1,
        volume_size_in_gb=settings.volume_gb,
        **_key("volume_kms_key_id", "" if has_own_disks else settings.kms_key),
    )


def _limits(shapes: Any, account: Account) -> Any:
    settings = account.settings
    waits = {"max_wait_time_in_seconds": settings.max_wait_seconds} if settings.spot else {}
    return shapes.StoppingCondition(max_runtime_in_seconds=settings.max_run_seconds, **waits)


def _key(name: str, kms_key: str) -> dict[str, str]:
    return {name: kms_key} if kms_key else {}
