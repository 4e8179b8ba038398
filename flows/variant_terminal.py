"""What the variant commands do with a terminal: start a flow, follow it, show what came of it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console

from backends.errors import InvalidInputError
from backends.settings import load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server
from flows.tables import print_table
from flows.terminal import fleet

SIDE_COLUMNS = ("", "model", "pictures", "answers", "confidence", "p50", "p95")

if TYPE_CHECKING:
    from tasks.variant_comparison import Side, VariantComparison


def run_start(thing: str, model: str, mode: str, share: float) -> None:
    """Deploy a challenger."""
    from tasks.variants import Mode

    if mode not in get_args(Mode):
        raise InvalidInputError(f"--mode {mode}", "no such mode", "Take shadow or split.")
    fleet().device(thing)
    with prefect_server(load_settings().root) as await_server:
        from flows.variant import VariantPlan, start_variant

        plan = VariantPlan.model_validate(
            {"thing": thing, "model": model, "mode": mode, "share": share}
        )
        await_server()
        show_our_lines()
        start_variant(plan)
    sys.stderr.write(f"model {model} challenges on {thing}: `edgeward variant compare {thing}`\n")


def run_compare(thing: str, since: str, targets: Path | None, as_json: bool) -> None:
    """Compare, and show what was found."""
    fleet().device(thing)
    home = load_settings().root
    with prefect_server(home) as await_server:
        from flows.variant import ComparisonPlan, compare_variants
        from tasks.business_understanding import load_targets
        from tasks.recording import targets_of
        from tasks.variant_comparison import variant_limits

        wanted = load_targets(targets) if targets else targets_of(home / "runs", thing)
        plan = ComparisonPlan(thing=thing, since=since, limits=variant_limits(wanted))
        await_server()
        show_our_lines()
        comparison = compare_variants(plan)
    if as_json:
        sys.stdout.write(json.dumps(asdict(comparison), indent=2) + "\n")
    _show(comparison)


def run_stop(thing: str) -> None:
    """Take the challenger away."""
    fleet().device(thing)
    with prefect_server(load_settings().root) as await_server:
        from flows.variant import stop_variant

        await_server()
        show_our_lines()
        stop_variant(thing)
    sys.stderr.write(f"no model challenges on {thing} any more\n")


def _show(comparison: "VariantComparison") -> None:
    console = Console(stderr=True, highlight=False)
    if comparison.champion and comparison.challenger:
        rows = _sides(comparison.champion, comparison.challenger)
        print_table(console, SIDE_COLUMNS, rows)
    if agreement := comparison.agreement:
        low, high = f"{agreement.low:.1%}", f"{agreement.high:.1%}"
        console.print(f"they agree on {agreement.value:.1%} of the pictures ({low} to {high})")
    differing = [
        f"{count} called {one} by the champion and {other} by the challenger"
        for one, others in comparison.confusion.items()
        for other, count in others.items()
        if one != other
    ]
    for line in differing:
        console.print(f"  {line}")
    console.print(f"[bold]{comparison.recommendation}[/bold]  {comparison.reason}")


def _sides(champion: "Side", challenger: "Side") -> Iterator[tuple[str, ...]]:
    for name, side in (("champion", champion), ("challenger", challenger)):
        p50, p95 = side.latency_ms["p50"], side.latency_ms["p95"]
        counts = (str(side.pictures), str(side.answers), f"{side.mean_confidence:.3f}")
        yield (name, side.model_version, *counts, f"{p50:.2f} ms", f"{p95:.2f} ms")
