"""The same tables for Athena: DDL over what compaction wrote to S3.

Source: Amazon Athena User Guide, "CREATE TABLE", "Partition projection" and "Data types".
"""

from typing import Any

import pyarrow as pa

from backends.telemetry.schema import DATE, TABLES, THING, Column

FOLDER = "telemetry"
"""Below the prefix; the messages themselves lie beside it."""
STORED = ("results", "statistics")
"""What the topic rules of an account store."""


def ddl(database: str, bucket: str, prefix: str) -> str:
    """Statements that make the tables known, without a crawler: partitions are projected.

    A question must name the `thing`: partitions of the injected kind are not listed.
    """
    return "\n\n".join(_table(database, bucket, prefix, table) for table in STORED) + "\n"


def _table(database: str, bucket: str, prefix: str, table: str) -> str:
    columns = ",\n".join(
        f"  `{column.name}` {_type(column.type)} COMMENT '{_quoted(column)}'"
        for column in TABLES[table]
        if column.name != THING
    )
    location = f"s3://{bucket}/{prefix}/{FOLDER}/{table}/"
    properties = {
        "projection.enabled": "true",
        f"projection.{DATE}.type": "date",
        f"projection.{DATE}.format": "yyyy-MM-dd",
        f"projection.{DATE}.range": "2025-01-01,NOW",
        f"projection.{THING}.type": "injected",
        "storage.location.template": f"{location}{DATE}=${{{DATE}}}/{THING}=${{{THING}}}/",
    }
    listed = ",\n".join(f"  '{name}' = '{value}'" for name, value in properties.items())
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{table}` (\n{columns}\n)\n"
        f"PARTITIONED BY (`{DATE}` string, `{THING}` string)\n"
        "STORED AS PARQUET\n"
        f"LOCATION '{location}'\n"
        f"TBLPROPERTIES (\n{listed}\n);"
    )


def _type(kind: Any) -> str:
    """Hive's name of an Arrow type."""
    if pa.types.is_map(kind):
        return f"map<{_type(kind.key_type)},{_type(kind.item_type)}>"
    if pa.types.is_fixed_size_list(kind):
        return f"array<{_type(kind.value_type)}>"
    names = {
        pa.string(): "string",
        pa.int32(): "int",
        pa.int64(): "bigint",
        pa.float64(): "double",
    }
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return "binary" if pa.types.is_fixed_size_binary(kind) else names[kind]


def _quoted(column: Column) -> str:
    return column.meaning.replace("'", "\\'").replace(";", ",")
