"""What Prefect's UI shows of a decision about retraining."""

from tasks.artifacts import as_cell, leave_markdown, markdown_table
from tasks.retraining.decisions import Decision


def show_decision(decision: Decision) -> None:
    """A page: yes or no, why, and each guard."""
    word = "Train again" if decision.retrain else "Do not train again"
    rows = [
        [as_cell(guard.name), "passed" if guard.passed else "**refuses**", as_cell(guard.reason)]
        for guard in decision.guards
    ]
    lines = [
        f"## {word}: {as_cell(decision.thing)}",
        as_cell(decision.reason),
        f"Asked for by: {decision.cause}"
        + (f", episode {decision.episode}" * bool(decision.episode)),
        markdown_table(["guard", "", "why"], rows),
    ]
    if decision.not_before:
        lines.append(f"Looked at again after {decision.not_before}.")
    leave_markdown(f"retraining-{decision.thing}", "\n\n".join(lines), "Whether to train again")
