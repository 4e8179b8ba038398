"""Runs pictures through an unpacked model exactly as the device does, and measures it.

Run before a model ships, in a fresh process of the device's environment:

    python -m edge.verify --model FOLDER --pictures LIST --results FILE

LIST holds a JSON object a line, {"image_id", "path"}; FILE receives one a line as well,
{"image_id", "probabilities", "run_ms", "picture_ms"} or {"image_id", "problem"}, and the summary
last. One picture is held at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, TextIO, Tuple

from edge.classifier import Classifier, InferenceError
from edge.model_folder import ModelFolderError
from edge.pictures import UnreadablePictureError, model_input, prepare, read_picture

WARM_UP = 10
REFUSED = 3
"""Exit status: the folder is no model that the device can serve; standard error says why."""


def main(arguments: Optional[List[str]] = None) -> int:
    """Verify, and give the exit status: 0, or REFUSED."""
    parser = argparse.ArgumentParser(description="Run pictures through a compiled model.")
    for name in ("model", "pictures", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        classifier = Classifier(options.model)
    except ModelFolderError as error:
        sys.stderr.write(f"{error.reason}\n")
        return REFUSED
    loaded = (time.perf_counter() - started) * 1000
    with options.results.open("w", encoding="utf-8") as results:
        warm = False
        for image_id, path in _listed(options.pictures):
            _line(results, {"image_id": image_id, **_classify(classifier, path, warm)})
            warm = True
        _line(results, {"summary": _summary(classifier, loaded)})
    return 0


def _classify(classifier: Classifier, path: Path, warm: bool) -> Dict[str, Any]:
    """Read, prepare and classify one picture: milliseconds of the model alone, and of it all."""
    try:
        started = time.perf_counter()
        picture = read_picture(path.read_bytes())
        data = model_input(prepare(picture, classifier.preprocessing))
        for _ in range(0 if warm else WARM_UP):  # the first runs fill caches and start threads
            classifier.classify(data)
            started = time.perf_counter()
        running = time.perf_counter()
        probabilities = classifier.classify(data)
        ended = time.perf_counter()
    except (UnreadablePictureError, InferenceError, OSError) as error:
        return {"problem": str(error)}
    return {
        "probabilities": probabilities.tolist(),
        "run_ms": (ended - running) * 1000,
        "picture_ms": (ended - started) * 1000 if warm else None,
    }


def _summary(classifier: Classifier, load_ms: float) -> Dict[str, Any]:
    return {
        "labels": list(classifier.labels),
        "runtime_version": classifier.runtime_version,
        "threads": os.environ.get("TVM_NUM_THREADS", ""),
        "load_ms": load_ms,
        "peak_rss_mb": peak_rss_mb(),
        "python": platform.python_version(),
    }


def peak_rss_mb(status: Path = Path("/proc/self/status")) -> float:
    """Most memory that this process has held, in MB (10^6 bytes).

    Of VmHWM: ru_maxrss starts at what the parent held when it started this process.
    """
    try:
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass  # no /proc: not Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _listed(pictures: Path) -> Iterator[Tuple[str, Path]]:
    with pictures.open(encoding="utf-8") as lines:
        for line in lines:
            picture = json.loads(line)
            yield picture["image_id"], Path(picture["path"])


def _line(stream: TextIO, value: Dict[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")


if __name__ == "__main__":
    sys.exit(main())
