"""Where a training has got to, on disk, so that a killed one goes on from there.

`<checkpoints>/at-EEEEEE-BBBBBB/` holds weights, optimizer and counts after batch B of epoch E; a
folder with that name is complete. `<checkpoints>/kept/` holds the .params that go into the model.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import model_files
from container import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS, OPTIMIZER, PROGRESS = "weights.params", "optimizer.states", "progress.json"


@dataclass
class Progress:
    """Counts of a training. `epoch` counts from 0, `batch` is how many of it are done."""

    epoch: int = 0
    batch: int = 0
    seen: int = 0
    correct: int = 0
    correct_top_k: int = 0
    seconds: float = 0.0
    best_epoch: int = 0  # counted from 1; 0: none yet
    best_accuracy: float = -1.0
    reference_accuracy: float = -1.0
    epochs_without_gain: int = 0
    stopped_early: bool = False

    def next_epoch(self) -> None:
        self.epoch += 1
        self.batch = self.seen = self.correct = self.correct_top_k = 0
        self.seconds = 0.0


class Checkpoints:
    """The checkpoints of one training, told from others by its hyperparameters."""

    def __init__(self, folder: Path, hyperparameters: dict[str, str]) -> None:
        self._folder = folder
        self._hyperparameters = hyperparameters
        self.kept = folder / "kept"
        self.kept.mkdir(parents=True, exist_ok=True)

    def save(self, progress: Progress, learner: Any) -> None:
        """Write a complete checkpoint, then drop the earlier ones."""
        name = f"at-{progress.epoch:06d}-{progress.batch:06d}"
        unfinished = self._folder / f"unfinished-{name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        model_files.save_params(unfinished / WEIGHTS, *learner.values())
        (unfinished / OPTIMIZER).write_bytes(learner.optimizer_state())
        record = {"progress": asdict(progress), "hyperparameters": self._hyperparameters}
        (unfinished / PROGRESS).write_text(json.dumps(record), encoding="utf-8")
        target = self._folder / name
        shutil.rmtree(target, ignore_errors=True)
        unfinished.replace(target)
        for other in self._folder.glob("*at-*"):
            if other != target:
                shutil.rmtree(other)

    def restore(self, learner: Any) -> Progress:
        """Set `learner` to the latest whole checkpoint; a training that has none starts from 0.

        SageMaker copies these folders to S3 file by file while they are written, and may bring
        back one of which a part is missing.
        """
        whole = [folder for folder in sorted(self._folder.glob("at-*")) if self._is_whole(folder)]
        if not whole:
            shutil.rmtree(self.kept)
            self.kept.mkdir()
            return Progress()
        latest = whole[-1]
        record = _read(latest)
        if record["hyperparameters"] != self._hyperparameters:
            raise RefusedError(
                "the checkpoints belong to a training with other hyperparameters: "
                "empty the checkpoint folder, or use another"
            )
        learner.set_values(*model_files.load_params(latest / WEIGHTS))
        learner.set_optimizer_state((latest / OPTIMIZER).read_bytes())
        return Progress(**record["progress"])

    def _is_whole(self, folder: Path) -> bool:
        """Whether all of a checkpoint is there, and the best weights so far as well."""
        if not all((folder / name).is_file() for name in (WEIGHTS, OPTIMIZER, PROGRESS)):
            return False
        best = _read(folder)["progress"]["best_epoch"]
        return not best or (self.kept / model_files.params_name(best)).is_file()

    def keep(self, epoch: int, learner: Any) -> Path:
        """Keep the weights after `epoch` (counted from 1) for the model."""
        path = self.kept / model_files.params_name(epoch)
        model_files.save_params(path, *learner.values())
        return path

    def drop(self, epoch: int) -> None:
        (self.kept / model_files.params_name(epoch)).unlink(missing_ok=True)


def _read(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    return record
