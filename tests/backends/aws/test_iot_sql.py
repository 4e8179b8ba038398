"""The evaluator that our rules are held to does what AWS's SQL reference says, in its examples."""

from typing import Any

import pytest

from tests.fakes.iot_sql import UNDEFINED, Message, SqlError, evaluate, fill_in, parse, run

AT = 1_456_141_450_000
PAYLOAD = {
    "color": "red",
    "temperature": 50,
    "text": "0.9",
    "flag": True,
    "nothing": None,
    "with-hyphen": {"in-it": 7},
    "list": [{"Label": "cat"}],
}


def message(**payload: Any) -> Message:
    return Message("a/b/c", payload or PAYLOAD, "hub-1", AT)


@pytest.mark.parametrize(
    ("sql", "payload", "outgoing"),
    [
        pytest.param(
            "SELECT color AS rgb FROM 'a/b/c' WHERE temperature > 50",
            {"color": "red", "temperature": 100},
            {"rgb": "red"},
            id="the-first-example",
        ),
        pytest.param(
            "SELECT color AS my_color FROM 'a/b/c' WHERE temperature > 50 AND color <> 'red'",
            {"color": "red", "temperature": 40},
            UNDEFINED,
            id="where-that-is-false",
        ),
        pytest.param(
            "SELECT *, 15 AS speed FROM 'a/+/c'",
            {"color": "red"},
            {"color": "red", "speed": 15},
            id="all-and-more",
        ),
        pytest.param(
            "SELECT bar, foo FROM '#'", {"foo": None}, {"foo": None}, id="undefined-is-left-out"
        ),
        pytest.param("SELECT * FROM 'a/b'", {"color": "red"}, UNDEFINED, id="another-topic"),
    ],
)
def test_a_statement(sql: str, payload: dict[str, Any], outgoing: Any) -> None:
    assert run(parse(sql), message(**payload)) == outgoing


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        pytest.param("temperature >= 50", True, id="number"),
        pytest.param("text > 0.8", True, id="a-text-is-converted"),
        pytest.param("color > 0.8", UNDEFINED, id="a-text-that-is-no-number"),
        pytest.param("flag > 0", UNDEFINED, id="a-boolean-is-no-number"),
        pytest.param("missing = 'red'", UNDEFINED, id="undefined-is-never-equal"),
        pytest.param("missing <> 'red'", UNDEFINED, id="nor-unequal"),
        pytest.param("flag AND missing", UNDEFINED, id="undefined-spoils-and"),
        pytest.param("flag OR missing", UNDEFINED, id="and-or"),
        pytest.param("NOT missing", UNDEFINED, id="and-not"),
        pytest.param("NOT flag", False, id="not"),
        pytest.param("isUndefined(missing)", True, id="is-undefined"),
        pytest.param("isUndefined(nothing)", False, id="null-is-a-value"),
        pytest.param("get(get(*, 'with-hyphen'), 'in-it')", 7, id="get-behind-a-hyphen"),
        pytest.param("with-hyphen", UNDEFINED, id="a-hyphen-is-a-minus"),
        pytest.param("get(list, 0).Label", "cat", id="get-from-an-array"),
        pytest.param("get(list, 1)", UNDEFINED, id="get-out-of-range"),
        pytest.param("topic(2)", "b", id="topic-counts-from-one"),
        pytest.param("topic()", "a/b/c", id="topic"),
        pytest.param("regexp_matches(color, '^r')", True, id="regular-expression"),
        pytest.param("regexp_matches(missing, '^r')", UNDEFINED, id="of-nothing"),
        pytest.param("flag OR flag AND missing", UNDEFINED, id="and-binds-first"),
        pytest.param("(flag OR flag) AND flag", True, id="parentheses"),
    ],
)
def test_an_expression(expression: str, value: Any) -> None:
    assert evaluate(expression, message()) == value


def test_a_template_sees_the_payload_and_no_alias() -> None:
    template = '${color}/${topic(3)}/${parse_time("yyyy-MM-dd", timestamp(), "UTC")}/${missing}'

    assert fill_in(template, message()) == "red/c/2016-02-22/"


@pytest.mark.parametrize("expression", ["1 +", "get(", "cast(color)", "color LIKE 'r'", "*"])
def test_what_is_not_documented_is_refused(expression: str) -> None:
    with pytest.raises(SqlError):
        evaluate(expression, message())
