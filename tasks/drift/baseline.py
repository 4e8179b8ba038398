"""What a model version was trained and judged on, as the regimes that it knows.

A model that was trained again on day and night knows both. A device that sees only nights must not
be held against the mixture of the two, so each collected batch is a regime of its own beside the
source, in the summary that devices send (docs/adr/0042).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

from backends.artifacts import Predictions
from backends.errors import InvalidInputError
from backends.files import replace_file
from edge.statistics import PICTURE_FEATURES, Summary, merge
from tasks.accepted_data import read_manifest
from tasks.origins import SOURCE, origin_of

FORMAT_VERSION = 2
"""1 was a bare summary: the only regime of its model."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Regime:
    """One way for the world to be: the source's, or that of a collected batch.

    Of `summary`, the statistics are of all its pictures; labels and confidence only of those that
    were held out, since a model is surer of what it was trained on.
    """

    name: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Baseline:
    """All regimes of a model version, the source first. `classes` is empty where nobody wrote it.

    Latency is not in it: that is the device's, and is learned there (docs/adr/0043).
    """

    model_version: str
    classes: tuple[str, ...]
    regimes: tuple[Regime, ...]

    @property
    def together(self) -> Summary:
        """All regimes as one, by their numbers of pictures."""
        return reduce(merge, (regime.summary for regime in self.regimes))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; quantiles stand beside the histograms, for people."""
        return {
            "version": FORMAT_VERSION,
            "model_version": self.model_version,
            "classes": list(self.classes),
            "regimes": [
                {
                    "name": regime.name,
                    "summary": regime.summary.to_dict(),
                    "quantiles": _quantiles(regime.summary),
                }
                for regime in self.regimes
            ],
        }

    @classmethod
    def from_dict(cls, document: Any) -> "Baseline":
        """Read what `to_dict` wrote, or a bare summary. Raises ValueError, KeyError, TypeError."""
        if "regimes" not in document:
            alone = Summary.from_dict(document)
            return cls(alone.model_version, (), (Regime(SOURCE, alone),))
        if document["version"] != FORMAT_VERSION:
            raise ValueError(f"version: must be {FORMAT_VERSION}, not {document['version']!r}")
        regimes = tuple(
            Regime(str(one["name"]), Summary.from_dict(one["summary"]))
            for one in document["regimes"]
        )
        if not regimes:
            raise ValueError("regimes: there is none")
        return cls(str(document["model_version"]), tuple(map(str, document["classes"])), regimes)


def build_baseline(
    manifest: Path, predictions: Predictions, model_version: str, into: Path
) -> Path:
    """Write `<into>/<model_version>.json`: what the model sees when all is well.

    A regime for the source and for each collected batch of the manifest: statistics of all its
    usable pictures, and the labels and confidence that the model gives to those of them that were
    predicted (the held-out part). Raises InvalidInputError for a prediction of a picture that the
    manifest lacks.
    """
    rows, _ = read_manifest(manifest)
    usable = rows[rows["problem"].isna()].drop_duplicates("image_id")
    answers = _answers(predictions)
    missing = sorted(set(answers) - set(usable["image_id"]))
    if missing:
        raise InvalidInputError(
            str(predictions.table), f"picture {missing[0]} is not in {manifest}", "Predict again."
        )
    now = datetime.now(UTC).isoformat()
    summaries: dict[str, Summary] = {SOURCE: Summary(model_version, now)}
    columns = ["image_id", "path", *PICTURE_FEATURES]
    for row in usable[columns].to_dict("records"):
        summary = summaries.setdefault(origin_of(row["path"]), Summary(model_version, now))
        values = {name: float(row[name]) for name in PICTURE_FEATURES}
        label, score = answers.get(row["image_id"], (None, None))
        summary.add(values, label, score, None, row["image_id"])
    first = summaries.pop(SOURCE)
    regimes = ((SOURCE, first), *sorted(summaries.items()))
    baseline = Baseline(
        model_version,
        tuple(predictions.classes),
        tuple(Regime(name, summary) for name, summary in regimes if summary.count),
    )
    return write_baseline(baseline, into)


def write_baseline(baseline: Baseline, into: Path) -> Path:
    """Write it under its model version's name."""
    path = into / f"{baseline.model_version}.json"
    replace_file(path, json.dumps(baseline.to_dict()))
    return path


def load_baseline(folder: Path, model_version: str) -> Baseline | None:
    """The baseline of a model version, or None. Raises InvalidInputError for a damaged one."""
    if not _VERSION.fullmatch(model_version):  # it comes from a device and becomes a path
        return None
    path = folder / f"{model_version}.json"
    try:
        return Baseline.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            str(path), f"the baseline is damaged: {error}", "Run the full cycle again."
        ) from error


def _answers(predictions: Predictions) -> Mapping[str, tuple[str, float]]:
    """The best label of each predicted picture, and its probability."""
    from pyarrow import parquet

    table = parquet.read_table(predictions.table).to_pandas()
    shares = table[[f"p{index}" for index in range(len(predictions.classes))]].to_numpy()
    best = shares.argmax(axis=1)
    return {
        image_id: (predictions.classes[index], float(row[index]))
        for image_id, index, row in zip(table["image_id"], best, shares, strict=True)
    }


def _quantiles(summary: Summary, shares: Sequence[float] = QUANTILES) -> dict[str, Any]:
    return {
        name: {f"p{share * 100:g}": held.quantile(share) for share in shares}
        for name, held in summary.features.items()
        if held.count
    }
