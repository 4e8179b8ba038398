"""Runs suites over tables in one Great Expectations context, and builds their Data Docs."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from expectations.check import Check
from expectations.pages import publish, write_index

_INFORMATIVE = "info"


@dataclass(frozen=True, slots=True)
class Table:
    """A data asset: rows, the suite that judges them, and the column that names a row."""

    name: str
    rows: pd.DataFrame
    suite: gx.ExpectationSuite
    key: str


def about(gate: str, check: str, informative: bool = False) -> dict[str, Any]:
    """Keyword arguments of an expectation that tie it to a gate (or a monitor's check) by name."""
    severity = _INFORMATIVE if informative else "critical"
    return {"meta": {"gate": gate, "check": check}, "severity": severity}


def run_checks(tables: Sequence[Table], docs: Path, title: str) -> tuple[list[Check], Path]:
    """Judge the tables; gives the checks in order, and the index.html of the Data Docs.

    `docs` is a folder that is made, or replaced whole. The pages need no server and no network.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about what Great Expectations does with it
        with publish(docs) as building:
            context = gx.get_context(project_config=_configuration(building), mode="ephemeral")
            checks = [check for table in tables for check in _judge(context, table)]
            context.build_data_docs()
            write_index(building, title, checks)
    return checks, docs / "index.html"


def _configuration(docs: Path) -> DataContextConfig:
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs),
        },
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
    }
    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={"edgeward": site},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )


def _judge(context: Any, table: Table) -> list[Check]:
    suite = context.suites.add(table.suite)
    source = context.data_sources.add_pandas(table.name)
    batch = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=table.name, data=batch, suite=suite)
    )
    result = definition.run(
        batch_parameters={"dataframe": table.rows},
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [table.key],
        },
    )
    return [_check(table, one.to_json_dict()) for one in result.results]


def _check(table: Table, result: Mapping[str, Any]) -> Check:
    configuration, found = result["expectation_config"], result["result"]
    return Check(
        table=table.name,
        gate=configuration["meta"]["gate"],
        name=configuration["meta"]["check"],
        passed=bool(result["success"]),
        informative=configuration["severity"] == _INFORMATIVE,
        description=configuration["description"],
        observed=_trouble(result) or found.get("observed_value", found.get("unexpected_count")),
        unexpected=tuple(
            (str(row[table.key]), _value(row, table.key))
            for row in found.get("unexpected_index_list") or ()
        ),
    )


def _value(row: Mapping[str, Any], key: str) -> Any:
    """What the row held in the column that was judged (the key itself, where that was judged)."""
    others = [value for column, value in row.items() if column != key]
    return others[0] if others else row[key]


def _trouble(result: Mapping[str, Any]) -> str:
    """What went wrong where an expectation could not be computed at all."""
    info = result.get("exception_info") or {}
    reports = [info, *(value for value in info.values() if isinstance(value, dict))]
    return next(
        (str(one["exception_message"]) for one in reports if one.get("raised_exception")), ""
    )
