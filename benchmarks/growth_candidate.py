"""What the device does with a picture, over and over, in the device's environment.

    python growth_candidate.py FOLDER PICTURES COUNT

Everything of the component that could hold on to memory: the runtime, windows, the queue on disk
and its delivery (to nobody: each message is taken at once). The resident memory in MB goes to
standard output, a JSON line after each tenth of COUNT.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.challenger import Challenger
from edge.contract import RESULTS_TOPIC, result_message
from edge.delivery import Delivery
from edge.outbox import Outbox
from edge.pictures import image_id, read_picture, statistics
from edge.reporting import Reporter
from edge.serving import Serving
from edge.surroundings import Surroundings
from edge.variants import Variants

WINDOW_SECONDS = 5.0
MOST_WAITING = 1000  # the loop is faster than any camera: it lets the queue drain at times


def main() -> None:
    folder, pictures, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    shown = [path.read_bytes() for path in sorted(pictures.iterdir())]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "location").write_text(f"{folder}\n1.0.0\n", encoding="utf-8")
        surroundings = Surroundings("bench", work, work / "location")
        serving = Serving(surroundings.model_pointer, surroundings.last_good_model)
        variants = Variants(serving, Challenger(surroundings.challenger_pointer, work))
        outbox = Outbox(surroundings.outbox)
        delivery = Delivery(outbox, lambda _topic, _payload: None, lambda _reason: None)
        reporter = Reporter("bench", work, variants, outbox, delivery)
        delivery.start()
        for number, data in zip(range(1, count + 1), itertools.cycle(shown)):
            _look(data, variants, reporter)
            reporter.report_due(WINDOW_SECONDS)
            while outbox.depth > MOST_WAITING:
                time.sleep(0.01)
            if number % (count // 10) == 0:
                line = {"inferences": number, "rss_mb": _resident_megabytes()}
                print(json.dumps(line), flush=True)
        delivery.stop(10)
        outbox.close()


def _look(data: bytes, variants: Variants, reporter: Reporter) -> None:
    picture, identity = read_picture(data), image_id(data)
    answer = variants.answer(picture, identity, "off", 0.0)
    message = result_message(
        thing="bench",
        model_version=answer.model_version,
        scores=answer.scores,
        score_threshold=0.3,
        max_results=5,
        image_id=identity,
        latency_ms=answer.latency_ms,
        taken_at=datetime.now(timezone.utc),
    )
    reporter.result(RESULTS_TOPIC, message, statistics(picture))


def _resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
