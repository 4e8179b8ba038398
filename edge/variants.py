"""Who answers a picture: the champion, or for a share of the pictures its challenger.

In shadow mode the champion answers every picture, and its message tells what the challenger says
to the same one. In split mode one of them answers alone; which, follows from the picture itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from edge.challenger import Challenger
from edge.classifier import Classifier, InferenceError
from edge.pictures import Picture, prepare
from edge.serving import Serving

OFF, SHADOW, SPLIT = "off", "shadow", "split"

_HASHES = 2**32


@dataclass(frozen=True)
class Answer:
    """What was said to a picture, and by whom; `shadow` is what the challenger says besides."""

    variant: str
    model_version: str
    scores: Mapping[str, float]
    latency_ms: float
    shadow: Optional[Dict[str, Any]] = None


class Variants:
    """The champion, and a challenger where the configuration asks for one."""

    def __init__(self, champion: Serving, challenger: Challenger) -> None:
        self.champion = champion
        self.challenger = challenger

    def follow(self, mode: str) -> bool:
        """Take new models over; True when another model answers from now on."""
        champion_changed = self.champion.refresh()
        return self.challenger.follow(mode != OFF) or champion_changed

    def answer(self, picture: Picture, identity: str, mode: str, share: float) -> Answer:
        """Classify a picture. Raises InferenceError when the champion cannot."""
        if mode == SPLIT and is_challenged(identity, share):
            answer = self._challenge(picture)
            if answer is not None:
                scores, latency_ms = answer
                return Answer("challenger", self.challenger.version, scores, latency_ms)
        is_shadowed, shadow_first = mode == SHADOW, _challenger_goes_first(identity)
        shadow = self._shadow(picture) if is_shadowed and shadow_first else None
        scores, latency_ms = _ask(self.champion.classifier, picture)
        if is_shadowed and not shadow_first:
            shadow = self._shadow(picture)
        return Answer("champion", self.champion.version, scores, latency_ms, shadow)

    def _shadow(self, picture: Picture) -> Optional[Dict[str, Any]]:
        answer = self._challenge(picture)
        if answer is None:
            return None
        scores, latency_ms = answer
        label = max(scores, key=lambda name: scores[name])
        return {
            "model_version": self.challenger.version,
            "label": label,
            "score": round(scores[label], 7),
            "latency_ms": round(latency_ms, 3),
        }

    def _challenge(self, picture: Picture) -> Optional[Tuple[Mapping[str, float], float]]:
        """What the challenger says; None where it cannot."""
        if self.challenger.classifier is None:
            return None
        try:
            answer = _ask(self.challenger.classifier, picture)
        except InferenceError as error:
            self.challenger.failed(str(error))
            return None
        self.challenger.answered()
        return answer


def is_challenged(image_id: str, share: float) -> bool:
    """Whether a picture falls into the challenger's `share`: always the same ones do."""
    return int(image_id[:8], 16) < share * _HASHES


def _challenger_goes_first(image_id: str) -> bool:
    """Half of the pictures: whoever comes first finds caches cold and threads asleep."""
    return int(image_id[-1], 16) % 2 == 1


def _ask(classifier: Classifier, picture: Picture) -> Tuple[Mapping[str, float], float]:
    """Probabilities by label, and milliseconds of the model alone."""
    prepared = prepare(picture, classifier.preprocessing)
    started = time.perf_counter()
    scores = classifier.scores(prepared)
    return scores, (time.perf_counter() - started) * 1000
