"""The list of decisions, by their titles."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "adr"


def decisions() -> str:
    return "\n".join(f"- [{_title(page)}]({page.name})" for page in sorted(FOLDER.glob("0*.md")))


def _title(page: Path) -> str:
    """`0005` as `5.`: with the number, as in the page, but in no list of Markdown's own."""
    first = page.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# ").replace(".", r"\.", 1)


PARTS = {"decisions": decisions}
