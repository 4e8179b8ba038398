"""Is the candidate as good as the champion on what was known, and better on what is new?

Both answer the same held-out pictures. Old are those of the source and of every collected batch
that the champion learnt from; new are those of the batches since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb
from pathlib import Path

import pandas as pd

from backends.artifacts import Gate, Predictions, Split
from tasks.business_understanding import AccuracyTargets, RetrainingTargets
from tasks.origins import SOURCE, origin_of

OLD, NEW = "model.champion", "model.champion-new"
MAX_CHANCE = 0.1
"""How probable a gain on new pictures may be by chance alone. One candidate in ten that is no
better may pass; it is no worse on old pictures then, and is watched once it serves. Asking for
more would ask people for more labels: at 0.1, four pictures that only the candidate gets right
are enough."""


@dataclass(frozen=True, slots=True)
class ChampionScore:
    """What the champion says of the pictures that judge the candidate, or why nobody knows.

    `predictions` has the champion's own classes; `batches` are those that it learnt from.
    """

    predictions: Predictions | None
    missing: str = ""
    batches: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Duel:
    """How often each was right on the same pictures; `gained` and `lost`: only one of them was."""

    images: int
    candidate: int
    champion: int
    gained: int
    lost: int

    @property
    def gain(self) -> float:
        """In top-1."""
        return (self.candidate - self.champion) / self.images

    @property
    def chance(self) -> float:
        """How probable so many gains, or more, are if both are equally good (exact, one-sided).

        McNemar's test: pictures that both get right or wrong say nothing; of the others each
        would be a gain or a loss with equal odds.
        """
        tossed = self.gained + self.lost
        at_least: int = sum(comb(tossed, wins) for wins in range(self.gained, tossed + 1))
        return at_least / float(2**tossed)


def origins_of(split: Split) -> dict[str, str]:
    """Where each test picture comes from, by image_id."""
    paths = _table(split.table, "test", "path")
    return {str(image_id): origin_of(path) for image_id, path in paths.items()}


def collected_batches(split: Split) -> frozenset[str]:
    """The batches that a split's pictures were collected in."""
    paths = pd.read_parquet(split.table, columns=["path"])["path"]
    return frozenset(paths.map(origin_of)) - {SOURCE}


def compare(
    candidate: Predictions, score: ChampionScore, split: Split
) -> tuple[Duel | None, Duel | None]:
    """Both on old pictures and on new ones; None where there are none, or no champion.

    Old pictures of a class that the champion does not have are left out: it could only lose.
    """
    if score.predictions is None:
        return None, None
    truth = _table(split.table, "test", "label")
    origins = pd.Series(origins_of(split))
    new = ~origins.isin([SOURCE, *score.batches])
    known = truth.isin(list(score.predictions.classes))
    ours, theirs = (_right(each, truth) for each in (candidate, score.predictions))
    old = ~new & known.loc[new.index]
    return _duel(ours, theirs, old.index[old]), _duel(ours, theirs, new.index[new])


def judge_old(duel: Duel | None, missing: str, targets: AccuracyTargets) -> Gate:
    """The gate model.champion; without a champion to compare with, `missing` says why."""
    limit = targets.min_champion_gain
    if duel is None:
        return Gate(OLD, None, None, limit, f"no baseline: {missing}")
    return Gate(OLD, duel.gain >= limit, round(duel.gain, 4), limit, _words(duel, limit))


def judge_new(duel: Duel | None, missing: str, targets: RetrainingTargets) -> Gate:
    """The gate model.champion-new: a gain that is large enough, and hardly chance."""
    limit = {"gain": targets.min_gain, "chance": MAX_CHANCE}
    if duel is None:
        reason = missing or "no held-out picture is of a batch that the champion does not know"
        return Gate(NEW, None, None, limit, f"no baseline: {reason}" if missing else reason)
    passed = duel.gain >= targets.min_gain and duel.chance <= MAX_CHANCE
    reason = (
        f"on {duel.images} new held-out pictures {_words(duel, targets.min_gain)}; {duel.gained} "
        f"only the candidate gets right and {duel.lost} only the champion, which is chance with "
        f"probability {duel.chance:.2f} (at most {MAX_CHANCE:.2f} is allowed)"
    )
    measured = {"gain": round(duel.gain, 4), "chance": round(duel.chance, 4)}
    return Gate(NEW, passed, measured, limit, reason)


def _words(duel: Duel, limit: float) -> str:
    verb = "gains" if duel.gain >= 0 else "loses"
    ours, theirs = duel.candidate / duel.images, duel.champion / duel.images
    return (
        f"top-1 {ours:.3f} {verb} {abs(duel.gain):.3f} on the champion's {theirs:.3f}"
        f" (at least {limit:+.3f} is asked)"
    )


def _table(table: Path, part: str, column: str) -> "pd.Series[str]":
    rows = pd.read_parquet(table, columns=["image_id", "part", column])
    return rows[rows["part"] == part].set_index("image_id")[column]


def _right(predictions: Predictions, truth: "pd.Series[str]") -> "pd.Series[bool]":
    """Whether a model's best label is the true one, by image_id."""
    table = pd.read_parquet(predictions.table).set_index("image_id")
    columns = [f"p{index}" for index in range(len(predictions.classes))]
    best = table[columns].to_numpy().argmax(axis=1)
    said = pd.Series([predictions.classes[index] for index in best], index=table.index)
    return said == truth.loc[said.index]


def _duel(ours: "pd.Series[bool]", theirs: "pd.Series[bool]", chosen: Iterable[str]) -> Duel | None:
    mine, other = ours.loc[list(chosen)], theirs.loc[list(chosen)]
    if mine.empty:
        return None
    return Duel(
        images=len(mine),
        candidate=int(mine.sum()),
        champion=int(other.sum()),
        gained=int((mine & ~other).sum()),
        lost=int((~mine & other).sum()),
    )
