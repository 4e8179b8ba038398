"""Plays SageMaker and Neo: an HTTP server that checks requests and really runs our jobs.

moto marks every job as done at once. This server stands beside moto's (S3 and CloudWatch Logs are
there) and has the states, times and failures of jobs that AWS documents. Source: Amazon SageMaker
API Reference, and "How Amazon SageMaker runs your training image".
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from tests.fakes.sagemaker_jobs import REGION, Compilation, Fate, Training
from tests.fakes.sagemaker_requests import RefusedError, check, check_answer

__all__ = ["Fate", "SageMakerPlayer"]


class SageMakerPlayer:
    """SageMaker of one account. `url` is its endpoint; it ends with the `with` block.

    `python` is the interpreter that has MXNet and TVM, `aws` the endpoint of S3 and of logs.
    """

    def __init__(self, aws: str, python: Path) -> None:
        session = boto3.Session("testing", "testing", region_name=REGION)
        self._s3 = session.client("s3", endpoint_url=aws)
        self._logs = session.client("logs", endpoint_url=aws)
        self._python = python
        self._lock = threading.Lock()
        self._fates: deque[Fate] = deque()
        self._refusals: dict[str, deque[RefusedError]] = {}
        self.trainings: dict[str, Training] = {}
        self.compilations: dict[str, Compilation] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.answer))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for job in (*self.trainings.values(), *self.compilations.values()):
            job.end()

    def next_job(self, fate: Fate) -> None:
        """What happens to the next job that is created."""
        self._fates.append(fate)

    def refuse(
        self, operation: str, code: str, message: str, times: int, status: int = 400
    ) -> None:
        """Refuse the next requests of `operation`, whatever they ask."""
        error = RefusedError(code, message, status)
        self._refusals.setdefault(operation, deque()).extend([error] * times)

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Raises RefusedError."""
        with self._lock:
            if waiting := self._refusals.get(operation):
                raise waiting.popleft()
            check(operation, request)
            asked: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
                "CreateTrainingJob": self._train,
                "DescribeTrainingJob": lambda about: self._training(about).described,
                "StopTrainingJob": lambda about: self._stop(self._training(about)),
                "CreateCompilationJob": self._compile,
                "DescribeCompilationJob": lambda about: self._compilation(about).described,
                "StopCompilationJob": lambda about: self._stop(self._compilation(about)),
                "ListTrainingJobs": lambda about: _listed("Training", self.trainings, about),
                "ListCompilationJobs": lambda about: _listed(
                    "Compilation", self.compilations, about
                ),
                "ListTags": self._tags,
            }
            if operation not in asked:
                raise RefusedError("UnknownOperationException", f"{operation} is not played")
            return dict(check_answer(operation, asked[operation](request)))

    def _train(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name in self.trainings:
            raise _in_use("Training job names", self.trainings[name].arn)
        limits = request.get("StoppingCondition", {})
        wait, run = limits.get("MaxWaitTimeInSeconds"), limits.get("MaxRuntimeInSeconds")
        spot = request.get("EnableManagedSpotTraining", False)
        if (wait is not None) != spot or (spot and wait < run):
            raise RefusedError("ValidationException", "Invalid MaxWaitTimeInSeconds")
        resources = request["ResourceConfig"]
        if "VolumeKmsKeyId" in resources and ".g4dn." in resources["InstanceType"]:
            raise RefusedError(
                "ValidationException", "VolumeKmsKeyId can't be requested with local storage"
            )
        job = Training(request, self._python, self._s3, self._logs, self._next_fate())
        self.trainings[name] = job
        job.start()
        return {"TrainingJobArn": job.arn}

    def _compile(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["CompilationJobName"]
        if name in self.compilations:
            raise _in_use("Compilation job names", self.compilations[name].arn)
        output = request["OutputConfig"]
        if ("TargetDevice" in output) == ("TargetPlatform" in output):
            raise RefusedError(
                "ValidationException", "Specify either TargetDevice or TargetPlatform"
            )
        job = Compilation(request, self._python, self._s3, self._next_fate())
        self.compilations[name] = job
        job.start()
        return {"CompilationJobArn": job.arn}

    def _next_fate(self) -> Fate:
        return self._fates.popleft() if self._fates else Fate()

    def _training(self, request: dict[str, Any]) -> Training:
        try:
            return self.trainings[request["TrainingJobName"]]
        except KeyError:
            raise RefusedError("ValidationException", "Requested resource not found.") from None

    def _compilation(self, request: dict[str, Any]) -> Compilation:
        try:
            return self.compilations[request["CompilationJobName"]]
        except KeyError:
            message = f"Could not find compilation job {request['CompilationJobName']}."
            raise RefusedError("ValidationException", message) from None

    def _tags(self, request: dict[str, Any]) -> dict[str, Any]:
        jobs: list[Training | Compilation] = [
            *self.trainings.values(),
            *self.compilations.values(),
        ]
        for job in jobs:
            if job.arn == request["ResourceArn"]:
                return {"Tags": job.request.get("Tags", [])}
        raise RefusedError("ValidationException", "Requested resource not found.")

    def _stop(self, job: Training | Compilation) -> dict[str, Any]:
        job.stop()
        return {}


def _listed(
    kind: str, jobs: Mapping[str, Training | Compilation], request: dict[str, Any]
) -> dict[str, Any]:
    """One page, of those in the state that is asked for."""
    summaries = []
    for name, job in jobs.items():
        about = job.described
        if request.get("StatusEquals") in (None, about[f"{kind}JobStatus"]):
            known = (f"{kind}JobArn", f"{kind}JobStatus", "CreationTime")
            summaries.append({f"{kind}JobName": name, **{key: about[key] for key in known}})
    return {f"{kind}JobSummaries": summaries}


def _in_use(names: str, arn: str) -> RefusedError:
    message = f"{names} must be unique within an AWS account and region, and there is {arn}"
    return RefusedError("ResourceInUse", message)


def _handler(
    answer: Callable[[str, dict[str, Any]], dict[str, Any]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """JSON 1.1: the operation is in a header, times are seconds."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service, _, operation = self.headers.get("X-Amz-Target", "").partition(".")
            signed = "AWS4-HMAC-SHA256" in self.headers.get("Authorization", "")
            if service != "SageMaker" or not signed:
                self._say(403, {"__type": "UnrecognizedClientException", "message": "not signed"})
                return
            try:
                self._say(200, answer(operation, json.loads(body or b"{}")))
            except RefusedError as refused:
                self._say(refused.status, {"__type": refused.code, "message": refused.message})

        def _say(self, status: int, content: dict[str, Any]) -> None:
            payload = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
