"""A container as SageMaker runs it: /opt/ml from S3, a program of jobs/, and its lines told."""

import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backends.settings import PROJECT

GRACE_SECONDS = 120  # between SIGTERM and SIGKILL
FAILURE_CHARACTERS = 1024


class Bucket:
    """What SageMaker itself reads and writes in S3."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def download(self, uri: str, into: Path) -> int:
        """Everything whose key begins with that of `uri`, as channels take it; how many files."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        count = 0
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            name = entry["Key"].removeprefix(prefix).lstrip("/") or entry["Key"].split("/")[-1]
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._s3.download_file(bucket, entry["Key"], str(path))
            count += 1
        return count

    def upload(self, path: Path, uri: str, kms_key: str = "") -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        self._s3.upload_file(str(path), bucket, key, ExtraArgs=extra)

    def sync(self, folder: Path, uri: str) -> None:
        """Additions and deletions, as checkpoints go to S3."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        here = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            if entry["Key"].removeprefix(prefix).lstrip("/") not in here:
                self._s3.delete_object(Bucket=bucket, Key=entry["Key"])
        for name, path in here.items():
            self._s3.upload_file(str(path), bucket, f"{prefix.rstrip('/')}/{name}")


class Container:
    """One run of a program below the folder `root`, which it sees as /opt/ml."""

    def __init__(self, python: Path, root: Path, name: str) -> None:
        self.root = root
        self._python = python
        self._name = name
        self._process: subprocess.Popen[str] | None = None

    def prepare(self, hyperparameters: Mapping[str, str], channels: Mapping[str, Any]) -> None:
        """Write what the program finds in input/config, and make its empty folders."""
        for folder in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        host = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        for stem, content in (
            ("hyperparameters", hyperparameters),
            ("inputdataconfig", channels),
            ("resourceconfig", host),
        ):
            (self.root / f"input/config/{stem}.json").write_text(json.dumps(content))

    def run(self, program: str, arguments: list[str], on_line: Callable[[str], None]) -> int:
        """Run to the end; the exit status, negative for a signal."""
        environment = {
            "PATH": os.environ["PATH"],
            "SM_ML_ROOT": str(self.root),
            "TRAINING_JOB_NAME": self._name,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [str(self._python), str(PROJECT / "jobs" / program), *arguments],
            env=environment,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                on_line(line.rstrip("\n").replace("\t", "#011"))  # as CloudWatch shows tabs
        return self._process.wait(GRACE_SECONDS)

    def terminate(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(GRACE_SECONDS)

    @property
    def failure(self) -> str:
        path = self.root / "output/failure"
        return path.read_text()[:FAILURE_CHARACTERS] if path.exists() else ""


def pack(folder: Path, into: Path) -> Path:
    """A tar.gz of the files of `folder`, flat."""
    with tarfile.open(into, "w:gz") as archive:
        for path in _files(folder):
            archive.add(path, path.relative_to(folder).as_posix())
    return into


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
