"""One competitor in a process of its own. Runs in whichever environment has its runtime.

    python candidate.py dlr|onnxruntime|mxnet FOLDER SIDE

Answers commands on standard input with a JSON line each: `run N` with the milliseconds of N
inferences (NumPy in, NumPy out), `memory` with the peak RSS in MB, `answer` with the probabilities.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Infer = Callable[[Any], Any]


def dlr(folder: Path) -> Infer:
    """The device's own code, threads and all."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from edge.classifier import Classifier

    classifier = Classifier(folder / "compiled")
    return classifier.classify


def onnxruntime(folder: Path, spins: bool = True) -> Infer:
    import onnxruntime as ort  # type: ignore[import-untyped]

    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = _cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    model = str(folder / "model.onnx")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda data: session.run(None, {name: data})[0][0]


def mxnet(folder: Path) -> Infer:
    """MXNet's best: oneDNN's fused subgraphs, bound once."""
    os.environ["OMP_NUM_THREADS"] = str(_cores())
    import mxnet as mx  # type: ignore[import-not-found]

    symbol = mx.sym.load(str(folder / "network-symbol.json"))
    values = mx.nd.load(str(folder / "network-0001.params"))
    arguments = {key[4:]: value for key, value in values.items() if key.startswith("arg:")}
    auxiliaries = {key[4:]: value for key, value in values.items() if key.startswith("aux:")}
    fused = symbol.optimize_for("MKLDNN", arguments, auxiliaries)
    side = int(sys.argv[3])
    arguments["data"] = mx.nd.zeros((1, 3, side, side))
    bound = fused.bind(mx.cpu(), arguments, aux_states=auxiliaries, grad_req="null")

    def infer(data: Any) -> Any:
        bound.arg_dict["data"][:] = data
        return bound.forward(is_train=False)[0].asnumpy()[0]

    return infer


def main() -> None:
    side = int(sys.argv[3])
    infer = {"dlr": dlr, "onnxruntime": onnxruntime, "mxnet": mxnet}[sys.argv[1]](Path(sys.argv[2]))
    shape = (1, 3, side, side)
    data = np.random.RandomState(1).randint(0, 256, shape).astype(np.float32)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "run":
            answer: Any = [_timed(infer, data) for _ in range(int(arguments[0]))]
        elif command == "memory":
            answer = _peak_megabytes()
        else:
            answer = np.asarray(infer(data)).tolist()
        print(json.dumps(answer), flush=True)


def _timed(infer: Infer, data: Any) -> float:
    started = time.perf_counter()
    infer(data)
    return (time.perf_counter() - started) * 1000


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
