"""The gates, from the words in which the report speaks of them."""

from docs.generate.tables import code, table
from tasks.wording import GATES


def gates() -> str:
    rows = [
        (code(name), words.measures, words.limit, words.remedy) for name, words in GATES.items()
    ]
    return table(("gate", "measured", "limit", "when it refuses"), rows)


PARTS = {"gates": gates}
