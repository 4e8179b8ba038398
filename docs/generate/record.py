"""What is written about a run: its record."""

from docs.generate.tables import code, table
from tasks.record_keys import RECORD


def record() -> str:
    return table(("key", "holds"), [(code(key), meaning) for key, meaning in RECORD.items()])


PARTS = {"record": record}
