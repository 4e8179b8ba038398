"""The folder of one job, laid out as a SageMaker container sees /opt/ml.

Beside SageMaker's own folders it holds `job.json` (which inputs, how far), `log.txt` (all lines of
all attempts) and `lock` (held as long as a process of the job lives).
"""

import fcntl
import gzip
import hashlib
import json
import shutil
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from backends.errors import JobError
from backends.files import replace_file

LOCK_LOOK_SECONDS = 0.2
FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Record:
    """How far a job has got. `seconds` is the running time of all attempts."""

    inputs: str
    state: Literal["running", "finished", "failed"]
    seconds: float = 0.0


class JobFolder:
    """Paths and state of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.output = path / "output/data"
        self.failure = path / "output/failure"
        self.archive = path / "output/model.tar.gz"
        self.model = path / "model"
        self.checkpoints = path / "checkpoints"
        self.log = path / "log.txt"

    @contextmanager
    def locked(self, seconds: float) -> Iterator[int]:
        """Wait for other runs of this job; yields the lock, which a child is to inherit.

        The lock is held until every process that has it is gone, so that a job whose parent was
        killed cannot meet its successor in the same folder. Raises JobError after `seconds`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + seconds
        with (self.path / "lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise JobError(self.path.name, "another run of it does not end") from None
                    time.sleep(LOCK_LOOK_SECONDS)
            yield file.fileno()

    def record(self) -> Record | None:
        """What is known of earlier attempts; a damaged record counts as none."""
        try:
            return Record(**json.loads((self.path / "job.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def is_whole(self) -> bool:
        """Whether the results of a finished job are still there."""
        return self.output.is_dir() and (self.archive.exists() or not _files(self.model))

    def write_record(self, record: Record) -> None:
        replace_file(self.path / "job.json", json.dumps(asdict(record)))

    def clear(self) -> None:
        """Start afresh: forget everything but the lock."""
        for entry in self.path.iterdir():
            if entry.name == "lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def drop_checkpoints(self) -> None:
        """A finished job needs them no more."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def prepare(self, hyperparameters: Mapping[str, str], channels: Mapping[str, Path]) -> None:
        """Lay out the inputs; drop what an earlier attempt left, its checkpoints excepted."""
        for stale in (self.model, self.path / "output", self.path / "input"):
            shutil.rmtree(stale, ignore_errors=True)
        configuration = self.path / "input/config"
        for folder in (configuration, self.model, self.output, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        for name, source in channels.items():
            _link(source.resolve(strict=True), self.path / "input/data" / name)
        channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
        host = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}
        for stem, content in (
            ("hyperparameters", dict(hyperparameters)),
            ("inputdataconfig", dict.fromkeys(channels, channel)),
            ("resourceconfig", host),
        ):
            replace_file(configuration / f"{stem}.json", json.dumps(content, indent=1))

    def pack_model(self) -> None:
        """Write model/ to model.tar.gz, if there is one: same files, same bytes."""
        files = _files(self.model)
        if not files:
            return
        unfinished = self.archive.with_suffix(".tmp")
        with unfinished.open("wb") as raw:
            _tar(files, self.model, raw)
        unfinished.replace(self.archive)


def fingerprint(
    program: Path, hyperparameters: Mapping[str, str], channels: Mapping[str, Path]
) -> str:
    """SHA-256 over the programs' text, the hyperparameters and every byte of the channels."""
    digest = hashlib.sha256(program.name.encode())
    for source in sorted(program.parent.glob("*.py")):
        digest.update(source.name.encode() + _sha256(source))
    digest.update(json.dumps(dict(hyperparameters), sort_keys=True).encode())
    for name, path in sorted(channels.items()):
        files = [path] if path.is_file() else _files(path)
        for file in files:
            place = file.name if file == path else file.relative_to(path).as_posix()
            digest.update(f"{name}/{place}".encode() + _sha256(file))
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _link(source: Path, channel: Path) -> None:
    """A channel is a folder; a single file gets one of its own."""
    target = channel / source.name if source.is_file() else channel
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def _tar(files: list[Path], root: Path, raw: IO[bytes]) -> None:
    with (
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in files:
            member = tarfile.TarInfo(path.relative_to(root).as_posix())
            member.size, member.mode = path.stat().st_size, FILE_MODE
            with path.open("rb") as content:
                tar.addfile(member, content)
