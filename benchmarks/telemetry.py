"""A million windows of devices added up, and whether memory stays flat with their number.

    python -m benchmarks.telemetry [WINDOWS]

200 things report windows of five minutes; what they say are real summaries of 20 pictures each.
A day of a thing is one file, as compaction leaves it, in the schema of the table. Ours is
`read_fleet` from an empty cursor, with all cores, each window recognised by its name; the peer is
what one would write with pandas: read the same files, group by model version, sum the columns (it
recognises no repeats, and adds up no labels and no sketches, which spares it work). The former way,
one message after the other from its JSON, is timed for one thing and extrapolated. Ratios are of
CPU seconds, which other work on the machine does not change.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import batched
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backends.telemetry.flattening import window_columns
from backends.telemetry.schema import SCHEMAS, in_file
from edge.contract import encode
from edge.statistics import FEATURES, PICTURE_FEATURES, Summary, merge

THINGS = 200
A_DAY = 288  # windows of five minutes
_DIFFERENT = 500  # summaries; the others repeat them under other names, at other times
_PICTURES = 20
_LABELS = ("person", "child", "dog", "cat", "car", "bicycle", "empty")
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_PEER = """
import json, sys, time
from pathlib import Path
import numpy as np, pandas as pd
root, features = Path(sys.argv[1]), sys.argv[2].split(",")
numbers = ["count", "unreadable", "seen_unnamed"]
numbers += [f"{f}_{kind}_e6" for f in features for kind in ("sum", "squares", "low", "high")]
lists = [f"{f}_bins" for f in features] + ["latency_bins"]
how = {name: "min" if name.endswith("low_e6") else "max" if name.endswith("high_e6") else "sum"
       for name in numbers}
began, used = time.perf_counter(), time.process_time()
parts = []
for path in sorted(root.glob("date=*/thing=*/*.parquet")):
    frame = pd.read_parquet(path, columns=["model_version", *numbers, *lists], partitioning=None)
    group = frame.groupby("model_version")
    row = group.agg(how)
    for name in lists:
        row[name] = group[name].agg(lambda held: np.stack(held.to_numpy()).sum(axis=0))
    row["thing"] = path.parent.name
    parts.append(row)
whole = pd.concat(parts).groupby(["thing", "model_version"])
whole.agg(how)
for name in lists:
    whole[name].agg(lambda held: np.stack(held.to_numpy()).sum(axis=0))
print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}))
"""


def summaries() -> list[Summary]:
    """What devices might say, seeded."""
    draw = random.Random(7)
    made = []
    for number in range(_DIFFERENT):
        summary = Summary("1.0.0", _BEGIN.isoformat(), _BEGIN.isoformat())
        for picture in range(_PICTURES):
            values = {name: draw.betavariate(5, 5) for name in PICTURE_FEATURES}
            label, score = draw.choice(_LABELS), draw.betavariate(8, 2)
            summary.add(values, label, score, draw.uniform(2, 20), f"{number}/{picture}")
        made.append(summary)
    return made


def fill(root: Path, windows: int) -> None:
    """Write `windows` windows as compaction leaves them: a file for each day and thing."""
    said = summaries()
    documents = [summary.to_dict() for summary in said]
    rows = [window_columns(document, _BEGIN) for document in documents]
    schema = in_file(SCHEMAS["statistics"])
    known = pa.Table.from_pylist([{**row, "payload": ""} for row in rows], schema=schema)
    each = windows // THINGS
    for thing in range(THINGS):
        for numbers in batched(range(each), A_DAY):
            table = known.take(pa.array([(thing + n) % _DIFFERENT for n in numbers]))
            _write(root, table, f"hub-{thing}", numbers, documents)


def _write(root: Path, table: Any, thing: str, numbers: tuple[int, ...], documents: Any) -> None:
    starts = [_BEGIN + timedelta(minutes=5 * n) for n in numbers]
    ends = [start + timedelta(minutes=5) for start in starts]
    names = [f"{thing}-{n:08x}-4b1d-9c55-6f1f0d3c7b2e" for n in numbers]
    arrivals = [end + timedelta(seconds=1) for end in ends]
    columns = {
        "window_start": pa.array([_text(start) for start in starts]),
        "window_end": pa.array([_text(end) for end in ends]),
        "received_at": pa.array(arrivals, table.schema.field("received_at").type),
        "message_id": pa.array(names),
        "payload": pa.array(
            encode({"thing": thing, "message_id": name, **documents[n % _DIFFERENT]}).decode()
            for name, n in zip(names, numbers, strict=True)
        ),
    }
    for name, column in columns.items():
        table = table.set_column(
            table.schema.get_field_index(name), table.schema.field(name), column
        )
    folder = root / f"date={ends[0]:%Y-%m-%d}" / f"thing={thing}"
    folder.mkdir(parents=True)
    parquet.write_table(table, folder / "compacted-0.parquet", compression="zstd")


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def ours(root: Path, workers: int) -> None:
    """Read the fleet in this process and below it, and print what it took.

    `cpu` is of this process alone: it counts where `workers` is 1.
    """
    import pandas  # noqa: F401 - Arrow imports it at some point; the peer's is not counted either
    from pyarrow import acero  # noqa: F401 - likewise

    from backends.local.statistics import LocalStatistics
    from benchmarks.ingest import Peak
    from tasks.telemetry.fleet import read_fleet, remember_fleet

    store = LocalStatistics(root)
    with tempfile.TemporaryDirectory() as home, Peak() as peak:
        began, used = time.perf_counter(), time.process_time()
        found = read_fleet(store, Path(home), store.things(""), workers)
        whole = found.together()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        remember_fleet(Path(home), found, {one.thing: list(one.versions) for one in found.things})
        remembering = time.perf_counter() - began - seconds
    counted = {"windows": found.windows, "pictures": sum(t.summary.count for t in whole.values())}
    answer = {"seconds": seconds, "cpu": cpu, "remembering": remembering, **counted}
    answer["peak_mib"] = peak.mib
    print(json.dumps(answer))


def one_by_one(root: Path) -> float:
    """CPU seconds for each window of one thing, one message after the other."""
    files = sorted(root.glob("date=*/thing=hub-0/*.parquet"))
    began = time.process_time()
    read = []
    for path in files:
        for payload in parquet.ParquetFile(path).read(columns=["payload"])["payload"].to_pylist():
            document = json.loads(payload)
            del document["thing"], document["message_id"]
            read.append(Summary.from_dict(document))
    reduce(merge, read)
    return (time.process_time() - began) / len(read)


def measured(*command: str) -> dict[str, float]:
    answer = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def main(windows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        fill(few, windows // 10)
        fill(many, windows)
        us = ("-m", "benchmarks.telemetry", "--ours")
        small, all_cores, one_core = (
            measured(*us, str(few), "0"),
            measured(*us, str(many), "0"),
            measured(*us, str(few), "1"),
        )
        peer = measured("-c", _PEER, str(few), ",".join(FEATURES))
        each = one_by_one(few)
        size = sum(path.stat().st_size for path in many.rglob("*.parquet"))
    read = int(all_cores["windows"])
    line = {
        "benchmark": "telemetry.windows",
        "ratio": round(peer["cpu"] / one_core["cpu"], 2),
        "peer": f"pandas groupby, {windows // 10} windows, one process each, CPU seconds",
        "ratio_one_by_one": round(each * one_core["windows"] / one_core["cpu"], 2),
        "windows": read,
        "pictures": int(all_cores["pictures"]),
        "seconds": round(all_cores["seconds"], 2),
        "windows_per_second": round(read / all_cores["seconds"]),
        "remembering_s": round(all_cores["remembering"], 2),
        "one_process_cpu_s": round(one_core["cpu"], 2),
        "peer_cpu_s": round(peer["cpu"], 2),
        "stored_mb": round(size / 1e6, 1),
        "peak_mib": {
            str(int(small["windows"])): round(small["peak_mib"], 1),
            str(read): round(all_cores["peak_mib"], 1),
        },
    }
    print(json.dumps(line))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
