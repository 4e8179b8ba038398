"""What is remembered of the last data set that passed: the baseline for schema change and drift."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.artifacts import Dataset
from backends.errors import InvalidInputError
from backends.files import replace_file
from edge.statistics import PICTURE_FEATURES, Summary
from tasks.origins import SOURCE, origin_of

if TYPE_CHECKING:
    import pandas as pd

_RECORD = "summary.json"
_VERSION = 1
_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class AcceptedData:
    """The last accepted data set in numbers.

    `columns`: column to Parquet type. `modes`: colour mode to pictures. `sizes`: least width,
    greatest width, least height, greatest height, in pixels. `summary`: statistics and labels.
    """

    source: str
    fingerprint: str
    accepted_at: str
    manifest: Path
    images: int
    columns: dict[str, str]
    classes: tuple[str, ...]
    modes: dict[str, int]
    sizes: tuple[int, int, int, int]
    summary: Summary


def source_name(source: str) -> str:
    """A name for a source that fits a folder or a registry: `folder:/a/b` is `folder-a-b-1f0c3a5e`.

    What follows a `?` (a seed, a drift switch) belongs to the same source.
    """
    whole = source.partition("?")[0]
    words = re.sub(r"[^A-Za-z0-9]+", "-", whole).strip("-")
    if words == whole and len(words) <= _NAME_LENGTH:
        return words
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return "-".join(filter(None, [words[-_NAME_LENGTH:].strip("-"), digest]))


def accepted_folder(root: Path, source: str) -> Path:
    """Where the baseline of a source lies below `root`: each source is compared with itself."""
    return root / source_name(source)


def read_manifest(manifest: Path) -> "tuple[pd.DataFrame, dict[str, str]]":
    """The rows, and the Parquet type of each column in order. `handled` is null where nothing was.

    Raises InvalidInputError for a file that is not there or no Parquet.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(manifest)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInputError(
            str(manifest), f"no readable manifest: {error}", "Run the ingest again."
        ) from error
    rows = table.to_pandas()
    if "handled" in rows:
        rows["handled"] = rows["handled"].replace("", None)
    return rows, {field.name: str(field.type) for field in table.schema}


def of_the_source(rows: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of pictures that no device collected."""
    return rows[rows["path"].map(origin_of) == SOURCE]


def summarize(rows: "pd.DataFrame", model_version: str, at: str) -> Summary:
    """Statistics and labels of usable rows (no problem), in the form that a device sends."""
    summary = Summary(model_version, at)
    for label, *values in rows[["label", *PICTURE_FEATURES]].itertuples(index=False):
        summary.add(dict(zip(PICTURE_FEATURES, values, strict=True)), label, None, None)
    return summary


def describe(dataset: Dataset, now: str) -> AcceptedData:
    """What would be remembered of a data set; `now` is an instant in ISO 8601.

    That is the source's own part: what devices collected differs by intention, and is compared
    with nothing later on.
    """
    rows, columns = read_manifest(dataset.manifest)
    usable = of_the_source(rows[rows["problem"].isna()])
    sizes = [int(usable[side].agg(end)) for side in ("width", "height") for end in ("min", "max")]
    return AcceptedData(
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        accepted_at=now,
        manifest=dataset.manifest,
        images=len(usable),
        columns=columns,
        classes=tuple(sorted(usable["label"].unique())),
        modes={str(mode): int(held) for mode, held in usable["mode"].value_counts().items()},
        sizes=(sizes[0], sizes[1], sizes[2], sizes[3]),
        summary=summarize(usable, "data", now),
    )


def accept_data(dataset: Dataset, folder: Path) -> AcceptedData:
    """Make a data set the baseline of `folder`: all of it, or, if this is interrupted, none.

    The manifest is copied beside the record that names it; replacing the record is what counts.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    accepted = describe(dataset, now)
    content = dataset.manifest.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    copy = folder / f"manifest-{digest[:12]}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(copy, content)
    record = {
        "version": _VERSION,
        "source": accepted.source,
        "fingerprint": accepted.fingerprint,
        "accepted_at": now,
        "manifest": copy.name,
        "manifest_sha256": digest,
        "images": accepted.images,
        "columns": accepted.columns,
        "classes": list(accepted.classes),
        "modes": accepted.modes,
        "sizes": list(accepted.sizes),
        "summary": accepted.summary.to_dict(),
    }
    replace_file(folder / _RECORD, json.dumps(record, indent=1).encode())
    for earlier in folder.glob("manifest-*.parquet"):
        if earlier != copy:
            earlier.unlink(missing_ok=True)
    return load_accepted(folder) or accepted


def load_accepted(folder: Path) -> AcceptedData | None:
    """The baseline of `folder`, or None where nothing has been accepted yet.

    Raises InvalidInputError for a baseline that was damaged: it is never taken for none.
    """
    path = folder / _RECORD
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    try:
        return _parse(json.loads(text), folder)
    except KeyError as error:
        raise _damaged(path, f"it lacks {error}") from error
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise _damaged(path, str(error)) from error


def _parse(record: dict[str, Any], folder: Path) -> AcceptedData:
    if record["version"] != _VERSION:
        raise ValueError(f"version {record['version']!r} is not {_VERSION}")
    manifest = folder / str(record["manifest"])
    if hashlib.sha256(manifest.read_bytes()).hexdigest() != record["manifest_sha256"]:
        raise ValueError(f"{manifest.name} is not the file that was accepted")
    low_width, high_width, low_height, high_height = record["sizes"]
    return AcceptedData(
        source=str(record["source"]),
        fingerprint=str(record["fingerprint"]),
        accepted_at=str(record["accepted_at"]),
        manifest=manifest,
        images=int(record["images"]),
        columns={str(name): str(kind) for name, kind in record["columns"].items()},
        classes=tuple(str(label) for label in record["classes"]),
        modes={str(mode): int(held) for mode, held in record["modes"].items()},
        sizes=(int(low_width), int(high_width), int(low_height), int(high_height)),
        summary=Summary.from_dict(record["summary"]),
    )


def _damaged(path: Path, reason: str) -> InvalidInputError:
    return InvalidInputError(
        str(path),
        f"the baseline is damaged: {reason}",
        f"Delete {path.parent} to begin again without one.",
    )
