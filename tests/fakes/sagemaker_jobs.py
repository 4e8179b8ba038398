"""Training and compilation jobs that are really run, with the states that SageMaker shows."""

import hashlib
import json
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.settings import PROJECT
from tests.fakes.sagemaker_container import Bucket, Container, pack

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ACCOUNT, REGION = "123456789012", "eu-west-1"
BUILT_IN = "/image-classification:"
SPOT_SHARE = 0.3
PLATFORMS = {
    "X86_64": "linux-x86_64",
    "ARM64": "linux-aarch64",
    "ARM_EABIHF": "linux-armv7l",
}
DEVICES = {"ml_c5": "X86_64", "rasp3b": "ARM_EABIHF", "rasp4b": "ARM_EABIHF"}
ENDS = {"Completed", "Failed", "Stopped", "COMPLETED", "FAILED", "STOPPED"}


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a job beside its own course.

    `fails`: it ends with this reason before it does anything. `interrupted`: its spot instance is
    taken away after the first epoch, and it goes on on another. `hangs`: it stays in its first
    state until it is stopped.
    """

    fails: str = ""
    interrupted: bool = False
    hangs: bool = False


class _Job:
    """One job: its request, its state, and the thread that drives it."""

    def __init__(self, request: Mapping[str, Any], python: Path, s3: Any, fate: Fate) -> None:
        self.request = request
        self.fate = fate
        self.python = python
        self.bucket = Bucket(s3)
        self.created = time.time()
        self.failure = ""
        self.artifact = ""
        self.stopping = threading.Event()
        self._scratch = tempfile.TemporaryDirectory(prefix="player-")
        self.container = Container(python, Path(self._scratch.name) / "ml", self.name)
        self._thread = threading.Thread(target=self._live, daemon=True)

    @property
    def name(self) -> str:
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.container.terminate()

    def end(self) -> None:
        """Leave nothing behind: no process, no thread, no folder."""
        self.stopping.set()
        self.container.kill()
        self._thread.join(60)
        self._scratch.cleanup()

    def _live(self) -> None:
        raise NotImplementedError


class Training(_Job):
    """What CreateTrainingJob starts."""

    def __init__(
        self, request: Mapping[str, Any], python: Path, s3: Any, logs: Any, fate: Fate
    ) -> None:
        self.transitions: list[dict[str, Any]] = []
        self.status = "InProgress"
        self._logs = logs
        self._began = self._ended = 0.0
        super().__init__(request, python, s3, fate)
        self._stream = f"{self.name}/algo-1-{int(self.created)}"
        self._move("Starting", "Starting the training job")

    @property
    def name(self) -> str:
        return str(self.request["TrainingJobName"])

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{self.name}"

    @property
    def described(self) -> dict[str, Any]:
        told = {key: value for key, value in self.request.items() if key != "Tags"}
        seconds = int((self._ended or time.time()) - self._began) + 1 if self._began else 0
        spot = self.request.get("EnableManagedSpotTraining", False)
        answer = {
            **told,
            "TrainingJobArn": self.arn,
            "ModelArtifacts": {"S3ModelArtifacts": self.artifact},
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.transitions[-1]["Status"],
            "SecondaryStatusTransitions": list(self.transitions),
            "CreationTime": self.created,
            "LastModifiedTime": self.transitions[-1]["StartTime"],
        }
        if self._began:
            answer["TrainingStartTime"] = self._began
        if self.status in ENDS and self._began:
            billed = max(1, int(seconds * SPOT_SHARE)) if spot else seconds
            answer |= {"TrainingEndTime": self._ended, "TrainingTimeInSeconds": seconds}
            answer |= {"BillableTimeInSeconds": billed}
        if self.failure:
            answer["FailureReason"] = self.failure
        return answer

    def _live(self) -> None:
        if self.fate.hangs:
            self.stopping.wait()
        if self.stopping.is_set():
            return self._finish("Stopped", "Stopped", "Training job stopped")
        if self.fate.fails:
            self.failure = self.fate.fails
            return self._finish("Failed", "Failed", "Training job failed")
        self._began = time.time()
        checkpoints = self.request.get("CheckpointConfig", {}).get("S3Uri")
        self._move("Downloading", "Downloading input data")
        if missing := self._channels():
            self.failure = f"ClientError: Data download failed: no data found under {missing}"
            return self._finish("Failed", "Failed", "Training job failed")
        if checkpoints:
            self.bucket.download(checkpoints, self.container.root / "checkpoints")
        status = self._attempt()
        if checkpoints:
            self.bucket.sync(self.container.root / "checkpoints", checkpoints)
        if self.fate.interrupted and status != 0 and not self.stopping.is_set():
            self._move("Interrupted", "Spot capacity was taken away")
            self._move("Starting", "Preparing the instances for training")
            status = self._attempt()
        return self._conclude(status)

    def _conclude(self, status: int) -> None:
        if not self.stopping.is_set() and status != 0:
            said = self.container.failure or "ExecuteUserScriptError"
            self.failure = f"AlgorithmError: {said}, exit code: {status}"
            return self._finish("Failed", "Failed", "Training job failed")
        self._move("Uploading", "Uploading generated training model")
        archive = pack(self.container.root / "model", self.container.root / "model.tar.gz")
        output = self.request["OutputDataConfig"]
        self.artifact = f"{output['S3OutputPath'].rstrip('/')}/{self.name}/output/model.tar.gz"
        self.bucket.upload(archive, self.artifact, output.get("KmsKeyId", ""))
        if self.stopping.is_set():
            return self._finish("Stopped", "Stopped", "Training job stopped")
        return self._finish("Completed", "Completed", "Training job completed")

    def _attempt(self) -> int:
        """Run the program once, on one instance."""
        self._move("Training", "Training image download completed. Training in progress.")
        strange = self._refused_hyperparameters()
        if strange:
            self._log(f"Customer Error: Additional hyperparameters are not allowed: {strange}")
            (self.container.root / "output").mkdir(exist_ok=True)
            reason = f"Additional properties are not allowed ({strange} was unexpected)"
            (self.container.root / "output/failure").write_text(reason)
            return 1
        interrupted = self.fate.interrupted and len(self._moves("Training")) == 1

        def take(line: str) -> None:
            self._log(line)
            if interrupted and "Validation-accuracy" in line:
                self.container.terminate()

        if self.stopping.is_set():
            return 1
        return self.container.run(self._program(), ["train"], take)

    def _program(self) -> str:
        """The built-in algorithm is played by our own; in an image of ours it is what runs."""
        text = (PROJECT / "jobs/Dockerfile").read_text(encoding="utf-8")
        entry = next(line for line in text.splitlines() if line.startswith("ENTRYPOINT"))
        return Path(json.loads(entry.removeprefix("ENTRYPOINT"))[-1]).name

    def _refused_hyperparameters(self) -> str:
        image = self.request["AlgorithmSpecification"]["TrainingImage"]
        given = self.request.get("HyperParameters", {})
        return "'seed'" if BUILT_IN in image and "seed" in given else ""

    def _channels(self) -> str:
        """Lay out /opt/ml; the first channel without data."""
        root = self.container.root
        channels = self.request.get("InputDataConfig", [])
        self.container.prepare(
            self.request.get("HyperParameters", {}),
            {one["ChannelName"]: {"TrainingInputMode": "File"} for one in channels},
        )
        for channel in channels:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not self.bucket.download(uri, root / "input/data" / channel["ChannelName"]):
                return str(uri)
        return ""

    def _log(self, line: str) -> None:
        event = {"timestamp": int(time.time() * 1000), "message": line or " "}
        for name, value in (("group", LOG_GROUP), ("stream", self._stream)):
            arguments = {"logGroupName": LOG_GROUP}
            if name == "stream":
                arguments["logStreamName"] = value
            try:
                getattr(self._logs, f"create_log_{name}")(**arguments)
            except self._logs.exceptions.ResourceAlreadyExistsException:
                continue
        self._logs.put_log_events(
            logGroupName=LOG_GROUP, logStreamName=self._stream, logEvents=[event]
        )

    def stop(self) -> None:
        if self.status == "InProgress":
            self.status = "Stopping"
            self._move("Stopping", "Stopping the training job")
        super().stop()

    def _finish(self, status: str, secondary: str, message: str) -> None:
        self._ended = time.time()
        self._move(secondary, message)
        self.status = status

    def _moves(self, status: str) -> list[dict[str, Any]]:
        return [transition for transition in self.transitions if transition["Status"] == status]

    def _move(self, secondary: str, message: str) -> None:
        now = time.time()
        if self.transitions:
            self.transitions[-1]["EndTime"] = now
        self.transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})


class Compilation(_Job):
    """What CreateCompilationJob starts: jobs/compile.py, without what Neo does not write."""

    def __init__(self, request: Mapping[str, Any], python: Path, s3: Any, fate: Fate) -> None:
        self.status = "STARTING"
        self.digest = ""
        self._ended = 0.0
        super().__init__(request, python, s3, fate)

    @property
    def name(self) -> str:
        return str(self.request["CompilationJobName"])

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:compilation-job/{self.name}"

    @property
    def described(self) -> dict[str, Any]:
        answer = {
            **{key: value for key, value in self.request.items() if key != "Tags"},
            "CompilationJobArn": self.arn,
            "CompilationJobStatus": self.status,
            "CreationTime": self.created,
            "LastModifiedTime": self._ended or self.created,
            "CompilationStartTime": self.created,
            "FailureReason": self.failure,
            "ModelArtifacts": {"S3ModelArtifacts": self.artifact},
        }
        if self.status in ENDS:
            answer["CompilationEndTime"] = self._ended
        if self.digest:
            answer["ModelDigests"] = {"ArtifactDigest": f"sha256:{self.digest}"}
        return answer

    def stop(self) -> None:
        if self.status not in ENDS:
            self.status = "STOPPING"
        super().stop()

    def _live(self) -> None:
        if self.fate.hangs:
            self.stopping.wait()
        self.status = self._outcome()

    def _outcome(self) -> str:
        if not self.stopping.is_set():
            self.status = "INPROGRESS"
            self.failure = self.fate.fails or self._compile()
        self._ended = time.time()
        if self.stopping.is_set():
            return "STOPPED"
        return "FAILED" if self.failure else "COMPLETED"

    def _compile(self) -> str:
        """The reason why it fails; nothing, where it does not."""
        root, source = self.container.root, self.request["InputConfig"]
        if not self.bucket.download(source["S3Uri"], root / "input/data/model"):
            return f"ClientError: InputConfiguration: Could not download {source['S3Uri']}"
        (archive,) = (root / "input/data/model").iterdir()
        shape = json.loads(source["DataInputConfig"])["data"]
        output = self.request["OutputConfig"]
        options = json.loads(output.get("CompilerOptions", "{}"))
        device = output.get("TargetDevice", "")
        arch = DEVICES[device] if device else output["TargetPlatform"]["Arch"]
        try:
            classes = [str(number) for number in range(_outputs(archive))]
        except tarfile.TarError as error:
            return f"ClientError: InputConfiguration: Unable to untar input model: {error}"
        self.container.prepare(
            {
                "platform": PLATFORMS[arch],
                "width": str(shape[3]),
                "height": str(shape[2]),
                "classes": json.dumps(classes),
                "mcpu": options.get("mcpu", ""),
            },
            {"model": {"TrainingInputMode": "File"}},
        )
        if self.container.run("compile.py", [], lambda _line: None) != 0:
            return f"ClientError: InputConfiguration: {self.container.failure}"
        made = pack(as_neo_leaves(root / "model", archive), root / "compiled.tar.gz")
        target = device or f"LINUX_{arch}"
        stem = archive.name.removesuffix(".tar.gz")
        folder = output["S3OutputLocation"].rstrip("/")
        self.artifact = f"{folder}/{stem}-{target}.tar.gz"
        self.bucket.upload(made, self.artifact, output.get("KmsKeyId", ""))
        self.digest = hashlib.sha256(made.read_bytes()).hexdigest()
        return ""


def as_neo_leaves(folder: Path, trained: Path) -> Path:
    """Take away what is ours, and add what Neo passes on or adds."""
    (folder / "synset.txt").unlink()
    meta = json.loads((folder / "compiled.meta").read_text())
    del meta["Edgeward"]
    (folder / "compiled.meta").write_text(json.dumps(meta))
    (folder / "dlr.h").write_text("/* the C API of DLR */\n")
    (folder / "manifest").write_text("{}\n")
    with tarfile.open(trained) as archive:
        shapes = archive.extractfile("model-shapes.json")
        assert shapes is not None
        (folder / "model-shapes.json").write_bytes(shapes.read())
    return folder


def _outputs(archive: Path) -> int:
    """How many classes a trained model tells apart: the units of its last layer."""
    with tarfile.open(archive) as members:
        (name,) = [name for name in members.getnames() if name.endswith("-symbol.json")]
        symbol = members.extractfile(name)
        assert symbol is not None
        nodes = json.loads(symbol.read())["nodes"]
    layers = [node for node in nodes if node["op"] == "FullyConnected"]
    return int(layers[-1]["attrs"]["num_hidden"])
