"""The former model beside the new one, for as long as [quality] asks for it."""

from datetime import datetime
from pathlib import Path

from backends.connect import component_archive, results_source
from backends.ports import RestorableFleet
from backends.settings import load_settings
from edge.contract import CHALLENGER_COMPONENT
from tasks.first_results import deploy_components
from tasks.quality.deployments import Watched
from tasks.quality.watching import Watch, remember_shadow
from tasks.variant_comparison import VariantComparison, VariantLimits, compare
from tasks.variants import (
    hear_variants,
    publish_challenger,
    read_deployed,
    with_challenger,
    without_challenger,
)


def hear_shadow(
    home: Path, watch: Watch, watched: Watched, fleet: RestorableFleet, now: datetime
) -> tuple[Watch, VariantComparison | None]:
    """What both said of the same pictures; puts the former model into shadow, and ends that.

    None where no shadow is wanted. A challenger that people have put there is left alone.
    """
    hours = watched.targets.quality.shadow_hours
    if not hours:
        return watch, None
    watch = _arrange(home, watch, watched, fleet, now)
    source = results_source(load_settings(), watched.thing)
    since = watched.began.isoformat()
    heard = hear_variants(source, watched.thing, since)
    ours = (
        heard
        if heard
        and heard.paired
        and heard.champion_version == watched.model_version
        and heard.challenger_version == watched.former_version
        else None
    )
    return watch, compare(watched.thing, since, ours, VariantLimits())


def _arrange(
    home: Path, watch: Watch, watched: Watched, fleet: RestorableFleet, now: datetime
) -> Watch:
    running = read_deployed(fleet, watched.thing)
    there = running.components.get(CHALLENGER_COMPONENT, "")
    if now >= watched.shadow_until:
        if watch.shadow and there == watch.shadow:
            alone = without_challenger(watched.thing, running)
            deploy_components(fleet, watched.thing, alone.components, alone.merge)
        return remember_shadow(home, watch, "") if watch.shadow else watch
    if there:
        return watch
    store = component_archive(load_settings())
    challenger = publish_challenger(store, store, watched.former_version)
    watch = remember_shadow(home, watch, challenger.version)
    both = with_challenger(running, challenger.version, "shadow", 0)
    deploy_components(fleet, watched.thing, both.components, both.merge)
    return watch
