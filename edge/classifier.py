"""Runs a compiled model folder in the DLR runtime, quietly: nothing is sent to anyone.

Importing `dlr` as it comes reports every load to its maker (POST over the internet, no timeout,
no variable to forbid it). A stub in place of its `counter` package, put there before the first
import, keeps that code from ever being loaded; it works in read-only installations too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, Optional, Tuple, Union

import numpy as np

from edge.model_folder import ModelFolderError, ModelMetadata, SelfTest, read_metadata
from edge.pictures import (
    Preprocessing,
    UnreadablePictureError,
    image_id,
    model_input,
    prepare,
    read_picture,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    Floats = npt.NDArray[np.float32]

_COPY = "model-being-loaded-"
_INPUT = "data"
_SUM_TOLERANCE = 0.01
_SPINS = 1000
"""Turns of a waiting thread before it sleeps: 0.2 ms, longer than from one operator to the next.

TVM's own 300,000 burn 70 ms of CPU after each picture.
"""


log = logging.getLogger(__name__)


class InferenceError(Exception):
    """The runtime could not classify one picture; the model itself stays loaded."""


class Classifier:
    """A loaded model, checked before it is first used. Not for several threads.

    Raises ModelFolderError when the folder is not a model, when DLR cannot load it, when what it
    computes does not fit its labels, or when it answers its self-test picture wrongly.
    """

    def __init__(self, folder: Path, scratch: Optional[Path] = None) -> None:
        """Load the model in `folder`; with `scratch`, from a copy there that is then unlinked.

        A nucleus may write an artifact's files again in place, under a process that has them
        mapped: that ends it. Only a copy of its own keeps a served model from that.
        """
        self.folder = Path(folder)
        self.metadata: ModelMetadata = read_metadata(self.folder)
        if self.metadata.takes != "model":
            reason = (
                "it is built for the input of AWS's public inference component, which this one "
                "does not feed: deploy the model of `edgeward run`"
            )
            raise ModelFolderError(str(folder), reason)
        try:
            self.preprocessing = Preprocessing.from_dict(self.metadata.preprocessing)
        except ValueError as error:
            raise ModelFolderError(str(folder), f"compiled.meta, preprocessing: {error}") from error
        with _own_copy(self.folder, scratch) as copy:
            self._model = _load(copy, self.folder, self.metadata.threads)
        self._check()
        if self.metadata.self_test is not None:
            self._check_answer(self.metadata.self_test)

    @property
    def labels(self) -> Tuple[str, ...]:
        return self.metadata.labels

    @property
    def runtime_version(self) -> str:
        """The version of the native library (libdlr), not of the Python package."""
        return str(self._model.get_version())

    def classify(self, picture: Union[Image.Image, Floats]) -> Floats:
        """Give the probability of every label, float32 [N], in the order of `labels`.

        `picture` is a prepared picture (RGB, the model's size) or model input [1, 3, H, W].
        Raises InferenceError.
        """
        data = picture if isinstance(picture, np.ndarray) else model_input(picture)
        expected = (1, 3, self.preprocessing.height, self.preprocessing.width)
        if data.shape != expected:  # DLR itself compares the number of elements only
            raise InferenceError(f"the model wants input {expected}, not {data.shape}")
        try:
            outputs = self._model.run({_INPUT: data})
        except Exception as error:  # DLR raises bare exceptions of several kinds
            raise InferenceError(f"DLR: {error}") from error
        probabilities: Floats = np.asarray(outputs[0], dtype=np.float32).reshape(-1)
        if not np.isfinite(probabilities).all():
            raise InferenceError("the model's answer is not finite")
        return probabilities

    def scores(self, picture: Union[Image.Image, Floats]) -> Mapping[str, float]:
        """Give the probability of every label by name. Raises InferenceError."""
        return dict(zip(self.labels, self.classify(picture).tolist()))

    def _check(self) -> None:
        folder = str(self.folder)
        names = list(self._model.get_input_names())
        if names != [_INPUT]:
            raise ModelFolderError(folder, f"the model's inputs are {names}, not ['{_INPUT}']")
        shape = (1, 3, self.preprocessing.height, self.preprocessing.width)
        try:
            probabilities = self.classify(np.full(shape, 127.0, dtype=np.float32))
        except InferenceError as error:
            raise ModelFolderError(folder, f"a first run failed: {error}") from error
        if probabilities.size != len(self.labels):
            reason = f"the model gives {probabilities.size} outputs for {len(self.labels)} labels"
            raise ModelFolderError(folder, reason)
        if not abs(float(probabilities.sum()) - 1) <= _SUM_TOLERANCE:
            raise ModelFolderError(folder, f"its outputs are no probabilities: {probabilities}")

    def _check_answer(self, test: SelfTest) -> None:
        """Ask it the one question whose answer came with it."""
        folder = str(self.folder)
        try:
            data = (self.folder / test.picture).read_bytes()
            if image_id(data) != test.image_id:
                raise ModelFolderError(folder, f"{test.picture} is not the picture that it names")
            picture = prepare(read_picture(data), self.preprocessing)
            answer = self.classify(picture)
        except (OSError, UnreadablePictureError, InferenceError) as error:
            raise ModelFolderError(folder, f"{test.picture}: {error}") from error
        expected = np.asarray(test.probabilities, dtype=np.float32)
        missed = float(np.abs(answer - expected).max())
        given, right = int(answer.argmax()), int(expected.argmax())
        if missed <= test.tolerance and given == right:
            return
        reason = (
            f"self-test: it calls {test.picture} {self.labels[given]} ({answer[given]:.3f}), and "
            f"{self.labels[right]} ({expected[right]:.3f}) is expected"
        )
        raise ModelFolderError(folder, reason)


def forbid_telemetry() -> None:
    """Keep `dlr` from phoning home. Must run before the first `import dlr`."""
    if "dlr.counter" in sys.modules:
        return
    stub = types.ModuleType("dlr.counter")
    stub.__path__ = []
    stub.call_phone_home = _as_it_is  # type: ignore[attr-defined]
    sys.modules["dlr.counter"] = stub


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


@contextlib.contextmanager
def _own_copy(folder: Path, scratch: Optional[Path]) -> Iterator[Path]:
    """A copy that lasts as long as the block; the folder itself where there is no room for one."""
    if scratch is None:
        yield folder
        return
    for left in scratch.glob(f"{_COPY}*"):  # by a process that was killed while it loaded
        shutil.rmtree(str(left), ignore_errors=True)
    copy = folder
    try:
        copy = Path(tempfile.mkdtemp(prefix=_COPY, dir=str(scratch)))
        for file in folder.iterdir():
            if file.is_file():
                shutil.copyfile(str(file), str(copy / file.name))
    except OSError as error:
        log.warning("The model is loaded where it lies, for it cannot be copied: %s", error)
        _remove(copy, folder)
        copy = folder
    try:
        yield copy
    finally:
        _remove(copy, folder)


def _remove(copy: Path, folder: Path) -> None:
    if copy != folder:
        shutil.rmtree(str(copy), ignore_errors=True)


def _load(copy: Path, folder: Path, threads: int) -> Any:
    forbid_telemetry()
    # read once, when the pool is made: a later model in this process keeps the first one's
    os.environ.setdefault("TVM_NUM_THREADS", str(threads or _cores()))
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", str(_SPINS))
    logging.getLogger("dlr.neologger_logger").disabled = True  # its errors reach us as exceptions
    try:
        from dlr import DLRModel

        return DLRModel(str(copy), "cpu")
    except Exception as error:  # DLR raises bare exceptions of several kinds
        reason = str(error).strip() or "its library wrote the reason to standard error"
        raise ModelFolderError(str(folder), f"DLR cannot load it: {reason}") from error


def _cores() -> int:
    """The cores this process may use; DLR's own default is half of the machine's on x86."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
