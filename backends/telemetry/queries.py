"""Questions in SQL about what devices reported: DuckDB over the tables, and nothing else.

The tables are given to DuckDB as Arrow data sets, so it needs no file of its own: access to files
and the network is off, and cannot be switched on from within a question.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.telemetry.folders import live_files
from backends.telemetry.schema import DATE, SCHEMAS

AT_ONCE = 1000
MEMORY = "2GB"


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names, and rows some at a time."""

    columns: tuple[str, ...]
    rows: Iterator[Sequence[Any]]


def ask(root: Path, sql: str) -> Answer:
    """Answer one SELECT (or DESCRIBE, EXPLAIN) over the tables below `root`.

    Raises InvalidInputError with DuckDB's own words for what it does not understand.
    """
    import duckdb

    connection = duckdb.connect(
        config={
            "enable_external_access": "false",
            "python_enable_replacements": "false",  # our own variables are no tables
            "memory_limit": MEMORY,
        }
    )
    try:
        _check(connection, sql)
        for table in SCHEMAS:
            connection.register(table, _data_set(root, table))
        connection.execute("SET lock_configuration = true")
        result = connection.execute(sql)
        columns = tuple(column[0] for column in result.description or ())
    except duckdb.Error as error:
        raise _wrong(error) from error
    return Answer(columns, _rows(result))


def _check(connection: Any, sql: str) -> None:
    import duckdb

    statements = connection.extract_statements(sql)
    readers = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
    if len(statements) != 1 or statements[0].type not in readers:
        raise InvalidInputError(
            "the query", "only one SELECT is answered: the tables are read-only", _next_step()
        )


def _rows(result: Any) -> Iterator[Sequence[Any]]:
    import duckdb

    try:
        while some := result.fetchmany(AT_ONCE):
            yield from some
    except duckdb.Error as error:
        raise _wrong(error) from error


def _data_set(root: Path, table: str) -> Any:
    """Every file that counts, with `date` and `thing` from its folders' names."""
    import pyarrow as pa
    from pyarrow import dataset

    schema = pa.schema([_column(field) for field in (*SCHEMAS[table], pa.field(DATE, pa.string()))])
    folders = sorted((root / table).glob("date=*/thing=*"))
    files = [str(path) for folder in folders for path in live_files(folder)]
    if not files:
        return schema.empty_table()
    parts = dataset.partitioning(
        pa.schema([(DATE, pa.string()), ("thing", pa.string())]), flavor="hive"
    )
    return dataset.dataset(
        files,
        schema=schema,
        format="parquet",
        partitioning=parts,
        partition_base_dir=str(root / table),
    )


def _column(field: Any) -> Any:
    """Moments without their zone, UTC: DuckDB's wheel lacks the part that knows zones."""
    import pyarrow as pa

    return field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field


def _wrong(error: Exception) -> InvalidInputError:
    return InvalidInputError("the query", str(error).strip(), _next_step())


def _next_step() -> str:
    tables = ", ".join(SCHEMAS)
    return f'Tables are {tables}; `edgeward query "DESCRIBE statistics"` lists columns.'
