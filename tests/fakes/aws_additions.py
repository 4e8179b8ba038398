"""What moto's server lacks of AWS, added to it.

Tags of topic rules, SageMaker's quotas, a job that is stopped, and the refusal to tell the tags of
no log group.
"""

import json
import urllib.parse
from typing import Any

from moto.iot.models import IoTBackend
from moto.iot.responses import IoTResponse
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import LogsBackend
from moto.sagemaker.responses import SageMakerResponse
from moto.servicequotas.responses import ServiceQuotasResponse

QUOTAS: dict[str, float] = {}
"""By name, as SageMaker lists them; the page size of AWS is 100, here it is 2."""
_PAGE = 2
_create_topic_rule = IoTResponse.create_topic_rule
_list_tags_of_log_group = LogsBackend.list_tags_for_resource


def add() -> None:
    """Once for the process: moto finds an operation by the name of the method."""
    IoTResponse.create_topic_rule = _create_tagged_topic_rule
    IoTResponse.list_tags_for_resource = _list_tags_of_rule
    LogsBackend.list_tags_for_resource = _list_tags_of_known_log_group
    SageMakerResponse.stop_training_job = _stop_training_job
    ServiceQuotasResponse.list_service_quotas = _list_service_quotas


def _create_tagged_topic_rule(self: Any) -> Any:
    answer = _create_topic_rule(self)
    tags = urllib.parse.parse_qsl(self.headers.get("x-amz-tagging", ""), strict_parsing=True)
    name = self._get_param("ruleName")
    _tags_of(self.iot_backend)[self.iot_backend.rules[name].arn] = dict(tags)
    return answer


def _list_tags_of_rule(self: Any) -> str:
    tags = _tags_of(self.iot_backend).get(self._get_param("resourceArn"), {})
    return json.dumps({"tags": [{"Key": key, "Value": value} for key, value in tags.items()]})


def _tags_of(backend: IoTBackend) -> dict[str, dict[str, str]]:
    """On the backend itself, so that a reset forgets them."""
    tags: dict[str, dict[str, str]] = backend.__dict__.setdefault("rule_tags", {})
    return tags


def _list_tags_of_known_log_group(self: LogsBackend, resource_arn: str) -> dict[str, str]:
    if resource_arn.partition(":log-group:")[2] not in self.groups:
        raise ResourceNotFoundException
    tags: dict[str, str] = _list_tags_of_log_group(self, resource_arn)
    return tags


def _stop_training_job(self: Any) -> str:
    job = self.sagemaker_backend.training_jobs[self._get_param("TrainingJobName")]
    job.training_job_status = "Stopped"
    return "{}"


def _list_service_quotas(self: Any) -> str:
    asked = json.loads(self.body)
    names = sorted(QUOTAS) if asked["ServiceCode"] == "sagemaker" else []
    start = int(asked.get("NextToken", 0))
    page = names[start : start + _PAGE]
    answer: dict[str, Any] = {
        "Quotas": [{"QuotaName": name, "Value": QUOTAS[name]} for name in page]
    }
    if start + _PAGE < len(names):
        answer["NextToken"] = str(start + _PAGE)
    return json.dumps(answer)
