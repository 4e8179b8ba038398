"""Train an image classifier, as SageMaker's built-in image classification does.

Channels `train` and, unless there is nothing to hold out, `validation` (a .rec each), and `model`
(an earlier training's model.tar.gz) to start from. Hyperparameters: hyperparameters.py. Output:
model_files.py. Epoch lines are the built-in algorithm's:

    [11/22/2026 18:33:40 INFO 140] Epoch[0] Batch [20]	Speed: 811.31 samples/sec	accuracy=0.31
    [11/22/2026 18:33:43 INFO 140] Epoch[0] Train-accuracy=0.375000
    [11/22/2026 18:33:43 INFO 140] Epoch[0] Time cost=3.863
    [11/22/2026 18:33:43 INFO 140] Epoch[0] Validation-accuracy=0.412000

A checkpoint is written after each epoch, and on SIGTERM after the current batch; a training that
starts in a folder with checkpoints goes on from the last one, and ends with the same weights as
one that nobody stopped.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import container
import hyperparameters
import model_files
import numpy as np
from checkpoints import Checkpoints
from learner import Learner, balanced
from records import Reader, Records, picture_size, scan

PROGRESS_EVERY = 20  # batches


def main(job: container.Container) -> None:
    given = job.hyperparameters()
    plan = hyperparameters.read(given)
    with tempfile.TemporaryDirectory() as scratch:
        training = Training(job, plan, given, Path(scratch))
        if training.run():
            training.finish()


class Training:
    """One training from its inputs, or from its last checkpoint, to its model."""

    def __init__(
        self,
        job: container.Container,
        plan: hyperparameters.Hyperparameters,
        given: dict[str, str],
        scratch: Path,
    ) -> None:
        self._job, self._plan = job, plan
        train = scan(job.channel("train"), scratch)
        held_out = (
            scan(job.channel("validation"), scratch) if job.has_channel("validation") else None
        )
        _check(plan, train, held_out)
        size = min(plan.mini_batch_size, len(held_out)) if held_out else 1
        self._train = Reader(train, plan.image_shape, plan.mini_batch_size, plan.resize)
        self._held_out = held_out and Reader(held_out, plan.image_shape, size, plan.resize)
        weights = balanced(train.labels, plan.num_classes) if plan.use_weighted_loss else None
        self._learner = Learner(plan, weights)
        self._start_from_earlier(scratch)
        self._checkpoints = Checkpoints(job.checkpoints, given)
        self._progress = self._checkpoints.restore(self._learner)

    def run(self) -> bool:
        """Train epoch by epoch; False when the job was asked to stop before the last one."""
        progress = self._progress
        if progress.epoch or progress.batch:
            say(f"Resuming at Epoch[{progress.epoch}] Batch [{progress.batch}]")
        while progress.epoch < self._plan.epochs and not progress.stopped_early:
            if not self._learn_epoch():
                self._checkpoints.save(progress, self._learner)
                say(f"Stopped at Epoch[{progress.epoch}] Batch [{progress.batch}]")
                return False
            self._report_and_keep()
            progress.next_epoch()
            self._checkpoints.save(progress, self._learner)
        return True

    def finish(self) -> None:
        """Write the model's files."""
        for path in sorted(self._checkpoints.kept.glob("*.params")):
            shutil.copyfile(path, self._job.model / path.name)
        model_files.save_description(self._job.model, self._learner.symbol, self._plan.image_shape)

    def _start_from_earlier(self, scratch: Path) -> None:
        if self._job.has_channel("model"):
            earlier = model_files.load(self._job.channel("model"), scratch)
            if earlier.shape != self._plan.image_shape and not self._plan.use_pretrained_model:
                raise container.RefusedError(
                    f"hyperparameter image_shape is {self._plan.image_shape}, and that of the "
                    f"earlier model in channel 'model' is {earlier.shape}"
                )
            self._learner.start_from(earlier, new_last_layer=self._plan.use_pretrained_model)
        elif self._plan.use_pretrained_model:
            raise container.RefusedError(
                "hyperparameter use_pretrained_model is 1, and there is no channel 'model': "
                "give an earlier model.tar.gz there, or set it to 0"
            )

    def _learn_epoch(self) -> bool:
        """Learn what is left of the current epoch; False when asked to stop on the way."""
        plan, progress = self._plan, self._progress
        self._learner.set_rate(plan.rate(progress.epoch))
        batches = self._train.shuffled(plan.augmentation_type, f"{plan.seed}/{progress.epoch}")
        last = time.monotonic()
        began = last - progress.seconds
        for number, batch in enumerate(batches):
            if number < progress.batch:
                continue
            probabilities = self._learner.learn(batch.data[0], batch.label[0])
            self._count(probabilities, batch)
            progress.batch, progress.seconds = number + 1, time.monotonic() - began
            if progress.batch % PROGRESS_EVERY == 0:
                speed = PROGRESS_EVERY * plan.mini_batch_size / (time.monotonic() - last)
                last = time.monotonic()
                self._say(
                    f"Batch [{progress.batch}]\tSpeed: {speed:.2f} samples/sec"
                    f"\taccuracy={progress.correct / progress.seen:.6f}"
                )
            if self._job.stopping.is_set():
                return False
        return True

    def _count(self, probabilities: Any, batch: Any) -> None:
        real = len(probabilities) - batch.pad
        labels = batch.label[0].asnumpy()[:real]
        self._progress.seen += real
        self._progress.correct += hits(probabilities[:real], labels, 1)
        self._progress.correct_top_k += hits(probabilities[:real], labels, self._plan.top_k or 1)

    def _report_and_keep(self) -> None:
        progress, top_k = self._progress, self._plan.top_k
        if not np.isfinite(self._learner.values()[0]["fc1_bias"].asnumpy()).all():
            raise container.RefusedError(
                f"the training diverged in epoch {progress.epoch + 1}: lower learning_rate"
            )
        self._say(f"Train-accuracy={progress.correct / progress.seen:.6f}")
        if top_k:
            self._say(f"Train-top_k_accuracy_{top_k}={progress.correct_top_k / progress.seen:.6f}")
        self._say(f"Time cost={progress.seconds:.3f}")
        accuracy = None
        if self._held_out:
            accuracy, top_k_accuracy = self._validate(self._held_out)
            self._say(f"Validation-accuracy={accuracy:.6f}")
            if top_k:
                self._say(f"Validation-top_k_accuracy_{top_k}={top_k_accuracy:.6f}")
            self._watch(accuracy)
        self._keep(accuracy)

    def _validate(self, held_out: Reader) -> tuple[float, float]:
        """Accuracy and top-k accuracy on the validation channel."""
        right = right_top_k = 0
        classifier = self._learner.classifier(held_out.batch)
        for batch in held_out.in_order():
            real = held_out.batch - batch.pad
            probabilities = classifier.classify(batch.data[0])[:real]
            labels = batch.label[0].asnumpy()[:real]
            right += hits(probabilities, labels, 1)
            right_top_k += hits(probabilities, labels, self._plan.top_k or 1)
        return right / len(held_out.records), right_top_k / len(held_out.records)

    def _watch(self, accuracy: float) -> None:
        """Early stopping: a gain counts when it is more than the tolerated share of the best."""
        plan, progress = self._plan, self._progress
        limit = progress.reference_accuracy * (1 + plan.early_stopping_tolerance)
        if progress.reference_accuracy < 0 or accuracy > limit:
            progress.reference_accuracy, progress.epochs_without_gain = accuracy, 0
        else:
            progress.epochs_without_gain += 1
        if (
            plan.early_stopping
            and progress.epoch + 1 >= plan.early_stopping_min_epochs
            and progress.epochs_without_gain >= plan.early_stopping_patience
        ):
            progress.stopped_early = True
            say(f"Early stopping: no gain in {progress.epochs_without_gain} epochs")

    def _keep(self, accuracy: float | None) -> None:
        """Keep every n-th epoch where asked to, else the best (without validation: the last)."""
        progress, epoch = self._progress, self._progress.epoch + 1
        if every := self._plan.checkpoint_frequency:
            last = epoch == self._plan.epochs or progress.stopped_early
            if epoch % every == 0 or last:
                self._saved(epoch)
            return
        if accuracy is not None and accuracy <= progress.best_accuracy:
            return
        if accuracy is not None:
            say(f"Storing the best model with validation accuracy: {accuracy:.6f}")
            progress.best_accuracy = accuracy
        self._saved(epoch)
        earlier, progress.best_epoch = progress.best_epoch, epoch
        self._checkpoints.drop(earlier)

    def _saved(self, epoch: int) -> None:
        self._checkpoints.keep(epoch, self._learner)
        say(f'Saved checkpoint to "{self._job.model / model_files.params_name(epoch)}"')

    def _say(self, text: str) -> None:
        say(f"Epoch[{self._progress.epoch}] {text}")


def hits(probabilities: Any, labels: Any, most: int) -> int:
    """How many of `labels` [N] are among the `most` likeliest of `probabilities` [N, classes]."""
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
    return int((likeliest == labels.astype(int)[:, None]).any(axis=1).sum())


def say(text: str) -> None:
    stamp = time.strftime("%m/%d/%Y %H:%M:%S", time.gmtime())
    print(f"[{stamp} INFO {threading.get_ident()}] {text}", flush=True)


def _check(plan: hyperparameters.Hyperparameters, train: Records, held_out: Records | None) -> None:
    """What the hyperparameters say about the data must be so."""
    refused = container.RefusedError
    if plan.num_training_samples != len(train):
        raise refused(
            f"hyperparameter num_training_samples is {plan.num_training_samples}, "
            f"and channel 'train' holds {len(train)} pictures"
        )
    if plan.mini_batch_size > len(train):
        raise refused(
            f"hyperparameter mini_batch_size is {plan.mini_batch_size}: more than the {len(train)} "
            "pictures of channel 'train'"
        )
    if plan.early_stopping and not held_out:
        raise refused("hyperparameter early_stopping needs the channel 'validation'")
    for records in filter(None, (train, held_out)):
        if records.labels.max() >= plan.num_classes or records.labels.min() < 0:
            raise refused(
                f"hyperparameter num_classes is {plan.num_classes}, and {records.path.name} holds "
                f"class {records.labels.max():g}"
            )
        height, width = picture_size(records)
        if not plan.resize and (height < plan.image_shape[1] or width < plan.image_shape[2]):
            raise refused(
                f"hyperparameter image_shape is {plan.image_shape}, and the pictures of "
                f"{records.path.name} are only {height}x{width}: pack larger ones, or set resize"
            )


if __name__ == "__main__":
    container.run(main, saves_when_stopped=True)
