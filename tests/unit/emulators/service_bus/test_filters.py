"""What the rules of a subscription match."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.emulators.service_bus import CorrelationFilter, FalseFilter, Rule, SettingsError, SqlFilter, TrueFilter
from ringfence.emulators.service_bus.filters import Filter, matches
from ringfence.emulators.service_bus.sql_values import FilterError
from tests.unit.emulators.service_bus.helpers import message

PROPERTIES: dict[str, Any] = {
    "colour": "red",
    "weight": 7,
    "price": 2.5,
    "yes": True,
    "HR-Id": "x",
    "empty": None,
    "percent": "50%",
}
MESSAGE = message(message_id="m1", subject="urgent", session_id="s", **PROPERTIES)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("1=1", True),
        ("1 = 2", False),
        ("colour = 'red'", True),
        ("COLOUR = 'red'", True),
        ("colour = 'RED'", False),
        ("colour <> 'blue' AND weight > 5", True),
        ("colour != 'red' OR weight <= 6", False),
        ("weight = 7.0", True),
        ("price * 2 = 5", True),
        ("weight / 2 = 3", True),
        ("-weight / 2 = -3", True),
        ("-weight % 2 = -1", True),
        ("weight % 4 = 3", True),
        ("(weight + 1) * 2 = 16", True),
        ("weight + 1 * 2 = 9", True),
        ("1e1 > weight", True),
        (".5 < 1", True),
        ("yes = TRUE", True),
        ("yes <> false", True),
        ("NOT yes = TRUE", False),
        ("NOT NOT weight = 7", True),
        ("weight = 1 OR weight = 7 AND colour = 'red'", True),
        ("(weight = 1 OR weight = 7) AND colour = 'blue'", False),
        ("colour IN ('blue', 'red')", True),
        ("colour NOT IN ('blue', 'green')", True),
        ("weight IN (1, 2, 3 + 4)", True),
        ("colour LIKE 'r%'", True),
        ("colour LIKE '_e_'", True),
        ("colour NOT LIKE '%e'", True),
        ("colour LIKE 'r.d'", False),
        ("percent LIKE '50\\%' ESCAPE '\\'", True),
        ("colour LIKE 're\\%' ESCAPE '\\'", False),
        ("'it''s' = 'it''s'", True),
        ("colour + 'dish' = 'reddish'", True),
        ("sys.Label = 'urgent'", True),
        ("sys.MessageId = 'm1' AND sys.sessionid = 's'", True),
        ("user.colour = 'red'", True),
        ("[HR-Id] = 'x'", True),
        ("\"HR-Id\" = 'x'", True),
        ("property('colour') = 'red' AND p('weight') = 7", True),
        ("EXISTS(colour)", True),
        ("EXISTS(missing)", False),
        ("NOT EXISTS(user.missing)", True),
        ("EXISTS(empty)", True),
        ("EXISTS(sys.To)", False),
        ("missing IS NULL", True),
        ("empty IS NULL", True),
        ("colour IS NOT NULL", True),
        # What is missing is unknown, and only what is true matches.
        ("missing = 1", False),
        ("NOT missing = 1", False),
        ("missing <> 1", False),
        ("missing = 1 OR weight = 7", True),
        ("missing = 1 AND weight = 7", False),
        ("NOT (missing = 1 AND weight = 8)", True),
        ("NOT (missing = 1 AND weight = 7)", False),
        ("NOT (missing = 1 OR weight = 8)", False),
        ("missing IN (1)", False),
        ("missing NOT IN (1)", False),
        ("missing LIKE '%'", False),
        ("missing + 1 = 2", False),
        ("weight = NULL", False),
        ("sys.To = 'x'", False),
    ],
)
def test_an_sql_condition(condition: str, expected: bool) -> None:
    assert SqlFilter(condition).matches(MESSAGE) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "colour > 5",
        "colour = 7",
        "weight LIKE '7'",
        "weight / 0 = 1",
        "colour - 1 = 1",
        "yes > FALSE",
        "property(weight) = 1",
    ],
)
def test_a_condition_that_does_not_fit_the_message(condition: str) -> None:
    with pytest.raises(FilterError):
        SqlFilter(condition).matches(MESSAGE)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "the end"),
        ("colour", "expected a comparison"),
        ("colour =", "expected a name"),
        ("colour = 'red", "cannot be read"),
        ("(colour = 'red'", "expected"),
        ("colour = 'red')", "expected its end"),
        ("colour = 'red' AND", "expected a name"),
        ("colour IN ()", "expected a name"),
        ("colour BETWEEN 1", "expected a comparison"),
        ("colour NOT = 1", "expected a comparison"),
        ("a.b = 1", "expected sys or user"),
        ("sys.Body = 1", "not supported"),
        ("newid() = 1", "not supported"),
        ("colour = @p", "cannot be read"),
        ("EXISTS colour", "expected ("),
        ("colour IS 1", "expected NULL"),
    ],
)
def test_what_is_no_condition_is_refused(condition: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SqlFilter(condition)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (CorrelationFilter(), True),
        (CorrelationFilter(label="urgent"), True),
        (CorrelationFilter(label="Urgent"), False),
        (CorrelationFilter(message_id="m1", session_id="s"), True),
        (CorrelationFilter(message_id="m1", to="there"), False),
        (CorrelationFilter(properties={"colour": "red", "weight": 7}), True),
        (CorrelationFilter(properties={"colour": "red", "weight": 8}), False),
        (CorrelationFilter(properties={"weight": "7"}), False),
        (CorrelationFilter(properties={"yes": 1}), False),
        (CorrelationFilter(properties={"missing": "x"}), False),
        (TrueFilter(), True),
        (FalseFilter(), False),
    ],
)
def test_other_filters(wanted: Filter, expected: bool) -> None:
    assert wanted.matches(MESSAGE) is expected


def test_one_rule_is_enough() -> None:
    rules = {"no": Rule("no", FalseFilter()), "yes": Rule("yes", SqlFilter("weight = 7"))}

    assert matches(rules, MESSAGE)
    assert not matches({"no": rules["no"]}, MESSAGE)
    assert not matches({}, MESSAGE)
