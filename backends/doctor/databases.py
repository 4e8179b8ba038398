"""Whether Prefect's and MLflow's databases are of the versions that are installed.

Both write the last of their migrations into their database, and refuse one from the future. The
migrations are read as text, as importing either takes seconds; the database is not touched.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from backends.doctor.finding import Finding, warning

_REVISION = re.compile(r"^revision\b[^=]*=\s*[\"'](\w+)[\"']", re.MULTILINE)
_KNOWN = (
    ("Prefect", "prefect", "server/database/_migrations/versions/sqlite", "prefect/prefect.db"),
    ("MLflow", "mlflow", "store/db_migrations/versions", "mlflow/mlflow.db"),
)


def judge_databases(home: Path) -> Iterator[Finding]:
    for name, package, migrations, database in _KNOWN:
        path = home / database
        subject = f"{name}'s database"
        if not path.is_file():
            yield warning(subject, True, "none yet", "")
            continue
        aside = f"move {path} aside: a new one is made, without what the old one remembers"
        try:
            revision = _revision_of(path)
        except sqlite3.Error as error:
            found = f"{path} cannot be read: {error}"
            yield Finding(
                subject, False, found, f"End what uses it (`edgeward down`), then {aside}."
            )
            continue
        known = set(_revisions(package, migrations))
        if revision and known and revision not in known:
            found = f"{path} is of another version of {name} (its migration {revision} is unknown)"
            remedy = f"Take that version again (`make setup` in its checkout), or {aside}."
            yield Finding(subject, False, found, remedy)
        else:
            yield warning(subject, True, "of this version, or older: it is brought up to date", "")


def _revision_of(path: Path) -> str:
    """Empty when it has none. `immutable`: not even a journal is made by looking."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as database:
        tables = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        if tables.fetchone() is None:
            return ""
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def _revisions(package: str, migrations: str) -> Iterator[str]:
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(place, migrations).glob("*.py"):
            if found := _REVISION.search(path.read_text(encoding="utf-8")):
                yield found[1]
