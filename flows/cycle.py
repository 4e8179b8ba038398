"""The full cycle: from pictures to a device that was seen to answer rightly."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from backends.artifacts import (
    Dataset,
    Evaluation,
    Gate,
    PackedData,
    Predictions,
    TrainedModel,
    Verification,
)
from backends.connect import Connected, connect
from backends.settings import load_settings
from flows.plan import CyclePlan
from tasks.recording import Run, new_run_id, note, note_gates, recorded, stage
