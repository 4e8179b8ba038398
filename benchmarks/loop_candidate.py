"""The loop of a device, in whichever environment has its runtime: picture file to message.

    python loop_candidate.py dlr|onnxruntime|mxnet FOLDER SIDE PICTURE

The first message is printed as soon as it is there. After that, each line `N SECONDS` on standard
input asks for N pictures at that interval, and is answered with a JSON line: the CPU seconds of one
picture, all threads counted, and the resident memory in MB.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.messages import result_message

Classify = Callable[[bytes], "tuple[list[float], float]"]
"""A file's bytes to probabilities, and the milliseconds that the model alone took."""


def dlr(folder: Path, _side: int) -> Classify:
    """The device's own code."""
    from edge.classifier import Classifier
    from edge.pictures import prepare, read_picture

    classifier = Classifier(folder / "compiled")

    def classify(data: bytes) -> tuple[list[float], float]:
        prepared = prepare(read_picture(data), classifier.preprocessing)
        return _timed(lambda: classifier.classify(prepared))

    return classify


def onnxruntime(folder: Path, side: int) -> Classify:
    """The same picture code, and threads that do not spin between two pictures."""
    import candidate

    from edge.pictures import Preprocessing, model_input, prepare, read_picture

    infer = candidate.onnxruntime(folder, spins=False)
    preprocessing = Preprocessing(width=side, height=side)

    def classify(data: bytes) -> tuple[list[float], float]:
        prepared = prepare(read_picture(data), preprocessing)
        return _timed(lambda: infer(model_input(prepared)))

    return classify


def mxnet(folder: Path, side: int) -> Classify:
    """MXNet's own picture code: its environment has no Pillow."""
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    import candidate
    import mxnet as mx  # type: ignore[import-not-found]

    infer = candidate.mxnet(folder)

    def classify(data: bytes) -> tuple[list[float], float]:
        image = mx.image.imresize(mx.image.imdecode(data), side, side, interp=1)
        prepared = image.transpose((2, 0, 1)).expand_dims(0)
        return _timed(lambda: infer(prepared.astype("float32")))

    return classify


def main() -> None:
    kind, folder, side, picture = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    classify = {"dlr": dlr, "onnxruntime": onnxruntime, "mxnet": mxnet}[kind](folder, side)
    print(json.dumps(_look(classify, picture)), flush=True)
    for line in sys.stdin:
        count, seconds = line.split()
        answer = _measured(classify, picture, int(count), float(seconds))
        print(json.dumps(answer), flush=True)


def _look(classify: Classify, picture: str) -> dict[str, Any]:
    """Read a picture, classify it, and build the message that a device would send."""
    probabilities, milliseconds = classify(Path(picture).read_bytes())
    return result_message(
        thing="bench",
        model_version="1.0.0",
        scores={f"class {index}": score for index, score in enumerate(probabilities)},
        score_threshold=0.0,
        max_results=5,
        image_id="0" * 64,
        latency_ms=milliseconds,
        taken_at=datetime.now(timezone.utc),
    )


def _measured(classify: Classify, picture: str, count: int, seconds: float) -> dict[str, float]:
    began = time.process_time()
    tick = time.monotonic()
    for _ in range(count):
        json.dumps(_look(classify, picture))
        tick += seconds
        time.sleep(max(0.0, tick - time.monotonic()))
    cpu = (time.process_time() - began) / count
    return {"cpu_s": cpu, "rss_mb": _resident_megabytes()}


def _timed(infer: Callable[[], Any]) -> tuple[list[float], float]:
    started = time.perf_counter()
    probabilities = infer()
    return probabilities.tolist(), (time.perf_counter() - started) * 1000


def _resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
