"""The inference component: puts its parts together, and decides how it ends.

One thread does the work; the delivery has its own. IPC callbacks only signal.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Mapping, Optional

from edge.accepted import first_configuration
from edge.challenger import Challenger
from edge.configuration import Configuration, ConfigurationError
from edge.delivery import Delivery
from edge.ipc import Nucleus, NucleusAwayError, SessionLostError
from edge.model_folder import ModelFolderError
from edge.outbox import Outbox
from edge.reporting import Reporter
from edge.serving import Serving
from edge.signals import Signals
from edge.surroundings import Surroundings
from edge.variants import Variants
from edge.watch import InterpreterReplacedError, Watch

DONE, FAILED = 0, 1

_MODEL_SECONDS = 60.0
"""How long the first model may take to be there."""

_CONNECT_SECONDS = 15.0
"""How long a nucleus may be away when the component starts."""

_LOOK_SECONDS = 0.2
_SEND_SECONDS = 0.6
"""How long the end waits for messages to go out; what is left stays on disk."""

log = logging.getLogger(__name__)


class Component:
    """One run of the component. `stop` may be called from a signal handler."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._signals = Signals()

    def stop(self) -> None:
        """Ask the component to end; `run` then returns within two seconds."""
        self._signals.stop()

    def run(self) -> int:
        """Work until told to stop. Returns DONE, or FAILED when it should be started again."""
        try:
            nucleus = self._connect()
        except SessionLostError as error:
            log.error("%s", error)  # noqa: TRY400 - a traceback says no more
            return FAILED
        try:
            self._work(nucleus)
        except SessionLostError as error:
            log.error("The session with the nucleus is lost: %s", error)  # noqa: TRY400
            return FAILED
        except InterpreterReplacedError:
            log.info("The runtime component has another interpreter: to be started again on it")
            return FAILED
        except (ConfigurationError, ModelFolderError) as error:
            log.error("%s", error)  # noqa: TRY400
            nucleus.report_state("ERRORED")
            return FAILED
        finally:
            nucleus.close()
        return DONE

    def _connect(self) -> Nucleus:
        """The nucleus may be starting again: lite gives a component three starts an hour only."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                return Nucleus(self._signals.lose)
            except NucleusAwayError:
                if self._signals.is_ending or time.monotonic() >= deadline:
                    raise
                time.sleep(_LOOK_SECONDS)

    def _work(self, nucleus: Nucleus) -> None:
        nucleus.watch_configuration(self._signals.change)
        configuration = first_configuration(
            nucleus.configuration(), self._surroundings.accepted_configuration
        )
        nucleus.watch_validation(_problem)
        self._await_model()
        serving = Serving(self._surroundings.model_pointer, self._surroundings.last_good_model)
        log.info(
            "Model %s, DLR %s, labels %s",
            serving.version,
            serving.classifier.runtime_version,
            ", ".join(serving.classifier.labels),
        )
        outbox = Outbox(self._surroundings.outbox)
        delivery = Delivery(outbox, nucleus.publish, self._signals.lose)
        folder = self._surroundings.folder
        variants = Variants(serving, Challenger(self._surroundings.challenger_pointer, folder))
        reporter = Reporter(self._surroundings.thing, folder, variants, outbox, delivery)
        delivery.start()
        nucleus.report_state("RUNNING")
        try:
            Watch(
                self._surroundings,
                self._signals,
                nucleus,
                variants,
                reporter,
                delivery,
                configuration,
            ).run()
        finally:
            variants.challenger.close()
            reporter.close_window()
            delivery.stop(0 if self._signals.lost else _SEND_SECONDS)
            outbox.close()

    def _await_model(self) -> None:
        """The first model may still be being installed: not every nucleus orders the two."""
        deadline = time.monotonic() + _MODEL_SECONDS
        pointer = self._surroundings.model_pointer
        if not pointer.exists():
            log.info("Waiting for a model: there is no %s yet", pointer)
        while not pointer.exists() and not self._signals.is_ending and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)


def _problem(proposed: Mapping[str, Any]) -> Optional[str]:
    try:
        Configuration.parse(proposed)
    except ConfigurationError as error:
        log.error("Configuration refused before it was deployed: %s", error)  # noqa: TRY400
        return str(error)
    return None
