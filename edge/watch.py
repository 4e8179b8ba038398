"""The loop: at every tick take pictures, classify them, report; between ticks take changes."""

from __future__ import annotations

import logging
import time
from typing import Any, Mapping, Set

from edge.accepted import next_configuration
from edge.camera import Camera, CameraError, Shot, open_camera
from edge.classifier import InferenceError
from edge.configuration import Configuration
from edge.contract import result_message
from edge.delivery import Delivery
from edge.follow_up import FollowUp
from edge.interpreter import Interpreter
from edge.ipc import Nucleus, SessionLostError
from edge.pictures import UnreadablePictureError, image_id, read_picture, statistics
from edge.reporting import Reporter
from edge.signals import Signals
from edge.surroundings import Surroundings
from edge.variants import Variants
from edge.watchdog import StuckPictures, Watchdog

_LOOK_SECONDS = 0.5
"""How often the model's pointer file is looked at."""

_RETRY_SECONDS = 1.0
"""When a picture is looked at again that may still be being written."""

log = logging.getLogger(__name__)


class InterpreterReplacedError(Exception):
    """The runtime component has another interpreter by now."""


class Watch:
    """The loop, once everything is in place."""

    def __init__(
        self,
        surroundings: Surroundings,
        signals: Signals,
        nucleus: Nucleus,
        variants: Variants,
        reporter: Reporter,
        delivery: Delivery,
        configuration: Configuration,
    ) -> None:
        self._surroundings = surroundings
        self._signals = signals
        self._nucleus = nucleus
        self._variants = variants
        self._reporter = reporter
        self._delivery = delivery
        self._configuration = configuration
        self._interpreter = Interpreter(surroundings.interpreter)
        self._stuck = StuckPictures(surroundings.stuck)
        self._watchdog = Watchdog(self._stuck, configuration.watchdog_seconds)
        self._follow_up = FollowUp(surroundings, nucleus, delivery, configuration)
        self._follow_up.know_labels(variants.champion.classifier.labels)
        reporter.figures = self._figures
        self._camera: Camera = self._open_camera()
        self._next_tick = time.monotonic()
        self._complaints: Set[str] = set()

    def run(self) -> None:
        """Work until the component stops. Raises SessionLostError, InterpreterReplacedError."""
        self._follow_up.start()
        self._watchdog.start()
        try:
            self._work()
        finally:
            self._watchdog.stop()
        if self._signals.lost:
            raise SessionLostError(self._signals.lost)

    def _work(self) -> None:
        while not self._signals.is_ending:
            self._take_changes()
            if time.monotonic() >= self._next_tick:
                self._tick()
            self._reporter.report_due(self._configuration.statistics_interval)
            self._follow_up.work()
            self._watchdog.beat()
            self._signals.wait(self._idle_seconds())

    def _open_camera(self) -> Camera:
        return open_camera(self._configuration, self._is_ending)

    def _is_ending(self) -> bool:
        """What a camera asks while it waits for its command, which has a time limit of its own."""
        self._watchdog.beat()
        return self._signals.is_ending

    def _figures(self) -> Mapping[str, Any]:
        return {**self._follow_up.figures(), "watchdog_restarts": self._stuck.restarts}

    def _idle_seconds(self) -> float:
        due = min(
            self._next_tick - time.monotonic(),
            self._reporter.seconds_to_next(self._configuration.statistics_interval),
            self._follow_up.seconds_to_next(),
            _LOOK_SECONDS,
        )
        return max(0.0, due)

    def _take_changes(self) -> None:
        if self._interpreter.is_replaced:
            raise InterpreterReplacedError
        served = self._variants.champion.version
        if self._variants.follow(self._configuration.variant_mode):
            self._reporter.close_window()  # a window tells of one model
        if served != self._variants.champion.version:  # it shows at once what it makes of the scene
            self._camera, self._next_tick = self._open_camera(), time.monotonic()
            self._follow_up.know_labels(self._variants.champion.classifier.labels)
        if not self._signals.take_change():
            return
        former = self._configuration
        self._configuration = next_configuration(
            self._nucleus.configuration(), former, self._surroundings.accepted_configuration
        )
        self._delivery.retry_parked()  # accessControl may have changed, too
        self._follow_up.use(self._configuration)
        if former != self._configuration:
            log.info("Configuration taken: %s", self._configuration)
            self._next_tick = time.monotonic()
            self._watchdog.seconds = self._configuration.watchdog_seconds
            self._follow_up.know_labels(self._variants.champion.classifier.labels)
            if _sees(former) != _sees(self._configuration):
                self._camera = self._open_camera()

    def _tick(self) -> None:
        started = time.monotonic()
        self._next_tick = started + self._configuration.inference_interval
        former, self._complaints = self._complaints, set()
        try:
            for shot in self._camera.shots():
                self._look_at(shot, former)
                self._reporter.report_due(self._configuration.statistics_interval)
                if self._signals.is_ending or self._signals.changed:
                    self._next_tick = started
                    break
        except CameraError as error:
            self._complain(str(error), former)

    def _look_at(self, shot: Shot, former: Set[str]) -> None:
        """Classify one picture and report it."""
        version = self._variants.champion.version
        if self._stuck.is_passed_over(shot.data, version):
            self._camera.reject(shot)
            self._reporter.unreadable()
            self._complain(f"{shot.name}: passed over, the work was stuck over it", former)
            return
        try:
            with self._watchdog.looking_at(shot.name, shot.data, version):
                message, measured = self._inspect(shot)
        except UnreadablePictureError as error:
            if self._camera.reject(shot):
                self._reporter.unreadable()
                self._complain(f"{shot.name}: {error}", former)
            else:
                self._next_tick = min(self._next_tick, time.monotonic() + _RETRY_SECONDS)
        except InferenceError as error:
            self._complain(f"{shot.name}: {error}", former)
        else:
            self._reporter.result(self._configuration.topic, message, measured)
            self._follow_up.saw(shot, message)

    def _complain(self, text: str, former: Set[str]) -> None:
        """Log what went wrong, but not again what the `former` tick complained of already."""
        if text not in former | self._complaints:
            log.warning("%s", text)
        self._complaints.add(text)

    def _inspect(self, shot: Shot) -> tuple[Mapping[str, Any], Mapping[str, float]]:
        picture, identity = read_picture(shot.data), image_id(shot.data)
        answer = self._variants.answer(
            picture,
            identity,
            self._configuration.variant_mode,
            self._configuration.variant_share,
        )
        message = result_message(
            thing=self._surroundings.thing,
            model_version=answer.model_version,
            scores=answer.scores,
            score_threshold=self._configuration.score_threshold,
            max_results=self._configuration.max_results,
            image_id=identity,
            latency_ms=answer.latency_ms,
            taken_at=shot.taken_at,
            variant=answer.variant,
            shadow=answer.shadow,
        )
        return message, statistics(picture)


def _sees(configuration: Configuration) -> tuple[object, ...]:
    """What decides which camera there is."""
    return (
        configuration.use_camera,
        configuration.camera_command,
        configuration.image_directory,
        configuration.image_name,
    )
