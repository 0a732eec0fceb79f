"""The query language, over documents that stand in the test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.emulators.cosmos.errors import ServiceError
from ringfence.emulators.cosmos.sql import holds, prepare
from tests.unit.emulators.cosmos.helpers import START, refusal

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "a", "n": 1, "s": "apple", "b": True, "z": None, "tags": ["x", "y"], "o": {"k": "v", "deep": {"m": 5}}},
    {"id": "b", "n": 2.5, "s": "Banana", "b": False, "tags": [], "rows": [{"q": 1}, {"q": 2}]},
    {"id": "c", "n": -3, "s": "cherry_100%", "tags": ["y", "z", "y"], "rows": [{"q": 3}]},
    {"id": "d", "s": 7, "n": "text"},
]


def run(query: str, documents: list[dict[str, Any]] | None = None, **parameters: Any) -> list[Any]:
    given = {f"@{name}": value for name, value in parameters.items()}
    found = DOCUMENTS if documents is None else documents
    return prepare(query).page(enumerate(found), now=START, size=1000, parameters=given)[0]


def value(expression: str, **parameters: Any) -> list[Any]:
    """Return what an expression is for document a, or nothing when it is undefined."""
    return run(f"SELECT VALUE {expression} FROM c WHERE c.id = 'a'", **parameters)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Literals
        ("1", 1),
        ("1.50", 1.5),
        ("1e3", 1000),
        ("9007199254740993", 9007199254740992),
        ("9007199254740993 = 9007199254740992.0", True),
        ("0x1F", 31),
        ("'it\\'s'", "it's"),
        ('"say \\"no\\""', 'say "no"'),
        ("'\\u00fc\\n'", "ü\n"),
        ("'\\ud83d\\ude00'", "😀"),
        ("[1, 'a', null, undefined]", [1, "a", None]),
        ("{'a': 1, b: c.n, 'gone': c.absent}", {"a": 1, "b": 1}),
        # Members
        ("c.o.deep.m", 5),
        ("c['o'].deep['m']", 5),
        ("c.tags[1]", "y"),
        ("c.tags[@index]", "x"),
        # Arithmetic
        ("1 + 2 * 3 - 4 / 2", 5),
        ("(1 + 2) * 3", 9),
        ("-7 % 3", -1),
        ("1 / 4", 0.25),
        ("6 / 2", 3),
        ("- - 5", 5),
        ("5 & 3 | 8", 9),
        ("6 ^ 3", 5),
        ("1 << 4", 16),
        ("-8 >> 1", -4),
        ("-1 >>> 28", 15),
        ("~5", -6),
        ("'a' || 'b' || c.s", "abapple"),
        # Comparison
        ("1 = 1.0", True),
        ("1 = '1'", False),
        ("1 != '1'", True),
        ("null = null", True),
        ("c.z = null", True),
        ("[1, {'a': 2}] = [1, {'a': 2.0}]", True),
        ("{'a': 1, 'b': 2} = {'b': 2, 'a': 1}", True),
        ("'a' < 'b'", True),
        ("'B' < 'a'", True),
        ("false < true", True),
        ("2 <> 3", True),
        # Logic
        ("true AND NOT false", True),
        ("false AND c.absent", False),
        ("true OR c.absent", True),
        ("NOT NOT true", True),
        ("c.absent ?? 'other'", "other"),
        ("c.z ?? 'other'", None),
        ("c.n = 1 ? 'one' : 'many'", "one"),
        ("c.absent ? 1 : 2", 2),
        ("1 = 2 ? 'a' : 2 = 2 ? 'b' : 'c'", "b"),
        # Sets and patterns
        ("c.n IN (3, 2, 1)", True),
        ("c.n NOT IN (3, 2)", True),
        ("c.n BETWEEN 0 AND 1", True),
        ("c.n NOT BETWEEN 2 AND 3", True),
        ("c.s LIKE 'app%'", True),
        ("c.s LIKE '_pple'", True),
        ("c.s LIKE '[a-c]pple'", True),
        ("c.s LIKE '[^a-c]pple'", False),
        ("c.s NOT LIKE '%z%'", True),
        ("'100%' LIKE '100!%' ESCAPE '!'", True),
        ("'100x' LIKE '100!%' ESCAPE '!'", False),
        # Subqueries
        ("ARRAY(SELECT VALUE t FROM t IN c.tags)", ["x", "y"]),
        ("ARRAY(SELECT t AS name FROM t IN c.tags)", [{"name": "x"}, {"name": "y"}]),
        ("EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'y')", True),
        ("EXISTS(SELECT VALUE t FROM t IN c.absent)", False),
        ("(SELECT VALUE COUNT(1) FROM t IN c.tags)", 2),
        ("(SELECT VALUE c.n + 1)", 2),
    ],
)
def test_expressions(expression: str, expected: Any) -> None:
    assert [expected] == value(expression, index=0)


@pytest.mark.parametrize(
    "expression",
    [
        "c.absent",
        "c.absent.deeper",
        "c.n.m",
        "c.tags[9]",
        "c.tags[-1]",
        "c.tags['x']",
        "1 + '1'",
        "1 / 0",
        "1 % 0",
        "-'a'",
        "'a' || 1",
        "NOT 1",
        "1 AND true",
        "c.absent = 1",
        "c.absent != 1",
        "c.absent IN (1)",
        "1 < 'a'",
        "[1] < [2]",
        "c.n BETWEEN 'a' AND 'b'",
        "c.n LIKE 'a'",
        "1.5 & 1",
        "undefined",
        "SQRT(-1)",
        "LOG(0)",
        "LENGTH(5)",
        "UPPER(c.absent)",
        "SUBSTRING('a', 'b', 1)",
        "STRINGTONUMBER('x')",
        "STRINGTONUMBER('NaN')",
        "REGEXMATCH('a', '(')",
        "DATETIMETOTIMESTAMP('no date')",
        "POWER(10, 400)",
        "1e200 * 1e200",
        "STRINGTONUMBER('1e999')",
        "STRINGTOARRAY('[1e999]')",
        "'a' LIKE '[z-a]' ? 1 : undefined",
    ],
)
def test_what_is_undefined(expression: str) -> None:
    assert value(expression) == []
    assert run(f"SELECT VALUE c.id FROM c WHERE {expression}") == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("IS_DEFINED(c.z)", True),
        ("IS_DEFINED(c.absent)", False),
        ("IS_NULL(c.z)", True),
        ("IS_NULL(c.absent)", False),
        ("IS_NUMBER(true)", False),
        ("IS_BOOL(true)", True),
        ("IS_STRING(c.s)", True),
        ("IS_ARRAY(c.tags)", True),
        ("IS_OBJECT(c.o)", True),
        ("IS_PRIMITIVE(c.o)", False),
        ("IS_INTEGER(1.0)", True),
        ("IS_INTEGER(1.5)", False),
        ("IS_FINITE_NUMBER(1)", True),
        ("CONCAT('a', c.s, 'b')", "aappleb"),
        ("contains('Apple', 'PPL', true)", True),
        ("CONTAINS('Apple', 'PPL')", False),
        ("STARTSWITH('Apple', 'ap', true)", True),
        ("ENDSWITH('Apple', 'le')", True),
        ("STRINGEQUALS('a', 'A', true)", True),
        ("INDEX_OF('banana', 'an', 2)", 3),
        ("LEFT('abc', 2)", "ab"),
        ("RIGHT('abc', 2)", "bc"),
        ("RIGHT('abc', 0)", ""),
        ("LENGTH('abc')", 3),
        ("LOWER('ABC')", "abc"),
        ("UPPER('abc')", "ABC"),
        ("TRIM('  a ')", "a"),
        ("LTRIM('xxa', 'x')", "a"),
        ("RTRIM('a  ')", "a"),
        ("REPLACE('banana', 'an', 'o')", "booa"),
        ("REPLICATE('ab', 2)", "abab"),
        ("REVERSE('abc')", "cba"),
        ("SUBSTRING('abcdef', 1, 3)", "bcd"),
        ("REGEXMATCH('abcd', 'ABC', 'i')", True),
        ("STRINGSPLIT('a,b', ',')", ["a", "b"]),
        ("STRINGJOIN(['a', 'b'], '-')", "a-b"),
        ("TOSTRING(1.5)", "1.5"),
        ("TOSTRING([1, 'a'])", '[1,"a"]'),
        ("TOSTRING('a')", "a"),
        ("STRINGTONUMBER(' 15 ')", 15),
        ("STRINGTOBOOLEAN('true')", True),
        ("STRINGTONULL('null')", None),
        ("STRINGTOARRAY('[1]')", [1]),
        ("STRINGTOOBJECT('{\"a\": 1}')", {"a": 1}),
        ("ABS(-2)", 2),
        ("CEILING(1.2)", 2),
        ("FLOOR(-1.2)", -2),
        ("ROUND(2.5)", 3),
        ("ROUND(-2.5)", -3),
        ("ROUND(1.234, 2)", 1.23),
        ("TRUNC(-1.7)", -1),
        ("SIGN(-9)", -1),
        ("SQRT(9)", 3),
        ("SQUARE(3)", 9),
        ("POWER(2, 10)", 1024),
        ("LOG(8, 2)", 3),
        ("LOG10(1000)", 3),
        ("NUMBERBIN(37, 10)", 30),
        ("ROUND(DEGREES(PI()))", 180),
        ("ARRAY_LENGTH(c.tags)", 2),
        ("ARRAY_CONTAINS(c.tags, 'x')", True),
        ("ARRAY_CONTAINS([{'a': 1, 'b': 2}], {'a': 1})", False),
        ("ARRAY_CONTAINS([{'a': 1, 'b': 2}], {'a': 1}, true)", True),
        ("ARRAY_CONTAINS([null], null)", True),
        ("ARRAY_CONTAINS_ANY(c.tags, 'q', 'y')", True),
        ("ARRAY_CONTAINS_ALL(c.tags, 'x', 'q')", False),
        ("ARRAY_CONCAT([1], [2], [3])", [1, 2, 3]),
        ("ARRAY_SLICE([1, 2, 3, 4], 1, 2)", [2, 3]),
        ("ARRAY_SLICE([1, 2, 3, 4], -2)", [3, 4]),
        ("SETINTERSECT([1, 2, 2, 3], [2, 3])", [2, 3]),
        ("SETUNION([1, 2], [2, 3])", [1, 2, 3]),
        ("CHOOSE(2, 'a', 'b')", "b"),
        ("OBJECTTOARRAY({'a': 1})", [{"k": "a", "v": 1}]),
        ("IIF(1 = 1, 'y', 'n')", "y"),
        ("IIF(1, 'y', 'n')", "n"),
        ("GETCURRENTTIMESTAMP()", int(START * 1000)),
        ("GETCURRENTDATETIME()", "2023-11-14T22:13:20.0000000Z"),
        ("DATETIMEADD('mm', 1, '2020-01-31T10:00:00.1234567Z')", "2020-02-29T10:00:00.1234567Z"),
        ("DATETIMEADD('hh', -1, '2020-01-01T00:00:00Z')", "2019-12-31T23:00:00.0000000Z"),
        ("DATETIMEDIFF('day', '2020-01-01T23:00:00Z', '2020-01-02T01:00:00Z')", 1),
        ("DATETIMEDIFF('yyyy', '2019-12-31', '2020-01-01')", 1),
        ("DATETIMEPART('mcs', '2020-01-02T03:04:05.6789123Z')", 678912),
        ("DATETIMEPART('month', '2020-01-02')", 1),
        ("DATETIMETOTIMESTAMP('1970-01-01T00:00:01.5Z')", 1500),
        ("TIMESTAMPTODATETIME(1500)", "1970-01-01T00:00:01.5000000Z"),
        ("VECTORDISTANCE([1, 0], [0, 1])", 0),
        ("VECTORDISTANCE([0, 3], [4, 0], false, {'distanceFunction': 'Euclidean'})", 5),
    ],
)
def test_functions(call: str, expected: Any) -> None:
    assert [expected] == value(call)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT VALUE c.id FROM c", ["a", "b", "c", "d"]),
        ("select value r.id from root r where r.b", ["a"]),
        ("SELECT VALUE c.id FROM c WHERE NOT (c.b = true)", ["b"]),
        ("SELECT VALUE c.id FROM c WHERE c.z != null", []),
        ("SELECT VALUE c.id FROM c WHERE c.s != null", ["a", "b", "c", "d"]),
        ("SELECT c.id, c['n'] FROM c WHERE c.id = 'a'", [{"id": "a", "n": 1}]),
        ("SELECT c.n + 1, c.id, 'x' FROM c WHERE c.id = 'a'", [{"$1": 2, "id": "a", "$2": "x"}]),
        ("SELECT c.n FROM c WHERE c.id IN ('a', 'd')", [{"n": 1}, {"n": "text"}]),
        ("SELECT c FROM c WHERE c.id = 'd'", [{"c": DOCUMENTS[3]}]),
        ("SELECT * FROM c WHERE c.id = 'd'", [DOCUMENTS[3]]),
        ("SELECT * FROM c.o", [DOCUMENTS[0]["o"]]),
        ("SELECT VALUE o.k FROM c.o", ["v"]),
        ("SELECT VALUE t FROM t IN c.tags", ["x", "y", "y", "z", "y"]),
        ("SELECT DISTINCT VALUE t FROM t IN c.tags", ["x", "y", "z"]),
        (
            "SELECT VALUE {id: c.id, q: r.q} FROM c JOIN r IN c.rows WHERE r.q > 1",
            [{"id": "b", "q": 2}, {"id": "c", "q": 3}],
        ),
        ("SELECT VALUE CONCAT(t, TOSTRING(r.q)) FROM c JOIN t IN c.tags JOIN r IN c.rows", ["y3", "z3", "y3"]),
        (
            "SELECT VALUE t FROM c JOIN (SELECT VALUE t FROM t IN c.tags WHERE t > 'x') AS t WHERE c.id = 'c'",
            ["y", "z", "y"],
        ),
        # Order: by type first, then by value
        ("SELECT VALUE c.id FROM c ORDER BY c.n", ["c", "a", "b", "d"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.n DESC", ["d", "b", "a", "c"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.b ASC, c.id DESC", ["d", "c", "b", "a"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.z DESC", ["a", "b", "c", "d"]),
        ("SELECT TOP 2 VALUE c.id FROM c", ["a", "b"]),
        ("SELECT TOP 0 VALUE c.id FROM c", []),
        ("SELECT TOP @count VALUE c.id FROM c", ["a", "b", "c"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", ["b", "c"]),
        ("SELECT VALUE c.id FROM c OFFSET 3 LIMIT 9", ["d"]),
        ("SELECT DISTINCT TOP 2 VALUE t FROM t IN c.tags", ["x", "y"]),
        # Aggregates
        ("SELECT VALUE COUNT(1) FROM c", [4]),
        ("SELECT VALUE COUNT(c.b) FROM c", [2]),
        ("SELECT COUNT(1) AS n, MAX(c.id) FROM c", [{"n": 4, "$1": "d"}]),
        ("SELECT VALUE SUM(c.n) FROM c WHERE IS_NUMBER(c.n)", [0.5]),
        ("SELECT VALUE SUM(c.n) FROM c", []),
        ("SELECT VALUE AVG(r.q) FROM r IN c.rows", [2]),
        ("SELECT VALUE MIN(c.n) FROM c", [-3]),
        ("SELECT VALUE MAX(c.n) FROM c", ["text"]),
        ("SELECT VALUE MAX(c.tags) FROM c", []),
        ("SELECT VALUE COUNT(1) FROM c WHERE false", [0]),
        ("SELECT VALUE MAX(c.n) FROM c WHERE false", []),
        ("SELECT VALUE COUNTIF(c.n > 0) FROM c", [2]),
        ("SELECT VALUE {'n': COUNT(1) + 1} FROM c", [{"n": 5}]),
        (
            "SELECT IS_NUMBER(c.n) AS number, COUNT(1) AS count FROM c GROUP BY IS_NUMBER(c.n)",
            [{"number": True, "count": 3}, {"number": False, "count": 1}],
        ),
        ("SELECT c.b FROM c GROUP BY c.b", [{"b": True}, {"b": False}, {}]),
        ("SELECT c.b FROM c WHERE false GROUP BY c.b", []),
        (
            "SELECT UPPER(t) AS t, COUNT(1) AS n FROM t IN c.tags GROUP BY UPPER(t)",
            [{"t": "X", "n": 1}, {"t": "Y", "n": 3}, {"t": "Z", "n": 1}],
        ),
        # No FROM
        ("SELECT 1", [{"$1": 1}]),
        ("SELECT VALUE 'x'", ["x"]),
        ("SELECT VALUE 'x' WHERE false", []),
        # Comments, and keywords that are names
        ("SELECT VALUE c.id -- all of them\nFROM c WHERE c.id = 'a'", ["a"]),
        ("SELECT VALUE c.value FROM c WHERE IS_DEFINED(c.value)", []),
        ("SELECT value FROM c JOIN (SELECT 1 AS one) AS value WHERE c.id = 'a'", [{"value": {"one": 1}}]),
    ],
)
def test_queries(query: str, expected: list[Any]) -> None:
    assert expected == run(query, count=3)


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("", "SC1001", "near '<EOF>'"),
        ("SELECT", "SC1001", "near '<EOF>'"),
        ("SELECT * FORM c", "SC1001", "near 'FORM'"),
        ("SELECT * FROM c WHERE", "SC1001", "near '<EOF>'"),
        ("SELECT * FROM c WHERE c.n =", "SC1001", "near '<EOF>'"),
        ("SELECT * FROM c WHERE (c.n = 1", "SC1001", "near '<EOF>'"),
        ("SELECT * FROM c WHERE c.n IN ()", "SC1001", "near ')'"),
        ("SELECT * FROM c c2 c3", "SC1001", "near 'c3'"),
        ("SELECT * FROM c ORDER c.n", "SC1001", "near 'c'"),
        ("SELECT * FROM c OFFSET 1", "SC1001", "near '<EOF>'"),
        ("SELECT VALUE c.a, c.b FROM c", "SC1001", "near ','"),
        ("SELECT 'open FROM c", "SC1010", "invalid token"),
        ("SELECT 1e999 FROM c", "SC1012", "out of range"),
        ("SELECT # FROM c", "SC1010", "invalid token '#'"),
        ("SELECT * FROM c WHERE x.n = 1", "SC2001", "Identifier 'x' could not be resolved"),
        ("SELECT * FROM root r WHERE root.n = 1", "SC2001", "Identifier 'root'"),
        ("SELECT VALUE t FROM c JOIN t IN x.tags", "SC2001", "Identifier 'x'"),
        ("SELECT VALUE (SELECT VALUE y)", "SC2001", "Identifier 'y'"),
        ("SELECT FOO(1) FROM c", "SC2005", "'FOO' is not a recognized built-in function name"),
        ("SELECT LENGTH() FROM c", "SC2050", "requires 1 argument(s)"),
        ("SELECT CONCAT('a') FROM c", "SC2050", "requires at least 2 argument(s)"),
        ("SELECT COUNT(1, 2) FROM c", "SC2050", "requires 1 argument(s)"),
        ("SELECT * FROM c WHERE COUNT(1) > 1", "SC2103", "COUNT"),
        ("SELECT SUM(COUNT(1)) FROM c", "SC2102", "containing an aggregate"),
        ("SELECT c.id, COUNT(1) FROM c", "SC2104", "isn't contained in an aggregate function"),
        ("SELECT c.n FROM c GROUP BY c.id", "SC2104", "GROUP BY"),
        ("SELECT * FROM c GROUP BY c.id", "SC2101", "SELECT *"),
        ("SELECT * FROM c JOIN t IN c.tags", "SC2040", "single input set"),
        ("SELECT *", "SC2041", "FROM clause is omitted"),
        ("SELECT c.a, d.a FROM c JOIN d IN c.x", "SC2012", "Duplicate property name 'a'"),
        ("SELECT 1 FROM c JOIN c IN c.x", "SC2011", "'c' is specified more than once"),
        ("SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1", "SC2204", "cannot be used together"),
        ("SELECT TOP 1.5 * FROM c", "SC2062", "whole number"),
        ("SELECT TOP @count * FROM c", "SC2062", "whole number"),
        ("SELECT * FROM c WHERE c.n = @gone", "SC2061", "'@gone' was not supplied"),
        ("SELECT " + "(" * 200 + "1" + ")" * 200, "SC3016", "nesting depth"),
    ],
)
def test_wrong_queries(query: str, code: str, text: str) -> None:
    error = refusal(lambda: run(query, count=-1))
    (found,) = json.loads(error.message)["errors"]

    assert (400, code) == (error.status, found["code"])
    assert text in found["message"]


def test_a_wrong_query_says_where() -> None:
    error = refusal(lambda: prepare("SELECT * FROM c WHERE x.n = 1"))

    assert json.loads(error.message)["errors"][0]["location"] == {"start": 22, "end": 23}


@pytest.mark.parametrize(
    "query", ["SELECT VALUE udf.f(1) FROM c", "SELECT * FROM c ORDER BY RANK FullTextScore(c.s, 'a')"]
)
def test_what_is_not_covered_says_so(query: str) -> None:
    assert "not supported by this Cosmos DB emulator" in refusal(lambda: prepare(query)).message


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("FROM c WHERE c.s = 'apple'", True),
        ("from item where item.n > 1", False),
        ("FROM c WHERE c.absent", False),
        ("FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'x')", True),
    ],
)
def test_predicates(condition: str, expected: bool) -> None:
    assert expected is holds(condition, DOCUMENTS[0], START)


@pytest.mark.parametrize(
    "condition", ["", "FROM c", "SELECT * FROM c", "FROM c WHERE c.n = 1 ORDER BY c.n", "WHERE x.n"]
)
def test_wrong_predicates(condition: str) -> None:
    with pytest.raises(ServiceError):
        holds(condition, DOCUMENTS[0], START)


def test_a_long_condition_is_no_deep_one() -> None:
    assert run("SELECT VALUE c.id FROM c WHERE " + " OR ".join(["c.id = 'x'"] * 2000 + ["c.id = 'a'"])) == ["a"]
    assert value("1" + " + 1" * 2000) == [2001]


def test_vectors_come_nearest_first() -> None:
    documents = [{"id": name, "v": vector} for name, vector in (("far", [0, 1]), ("near", [1, 0.1]), ("mid", [1, 1]))]
    query = prepare("SELECT VALUE c.id FROM c ORDER BY VECTORDISTANCE(c.v, [1, 0])")
    for function in ("cosine", "euclidean"):
        found = query.page(enumerate(documents), now=0, size=9, vector_functions={"v": function})[0]
        assert found == ["near", "mid", "far"]


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("SELECT * FROM c ORDER BY c.a.b DESC, c['d']", [(("a", "b"), True), (("d",), False)]),
        ("SELECT * FROM c", None),
        ("SELECT * FROM c ORDER BY UPPER(c.a)", None),
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY t.name", None),
    ],
)
def test_what_an_order_needs_indexed(query: str, paths: Any) -> None:
    assert paths == prepare(query).order_paths


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE c.n FROM c",
        "SELECT VALUE c.n FROM c ORDER BY c.g, c.n DESC",
        "SELECT VALUE c.n FROM c ORDER BY c.absent DESC",
        "SELECT TOP 5 VALUE c.n FROM c ORDER BY c.n DESC",
        "SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 2 LIMIT 4",
        "SELECT DISTINCT VALUE c.g FROM c",
        "SELECT VALUE COUNT(1) FROM c GROUP BY c.g",
        "SELECT VALUE t FROM c JOIN t IN c.t",
        "SELECT VALUE COUNT(1) FROM c",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_together_are_the_whole(query: str, size: int) -> None:
    documents = [{"n": number, "g": number % 3, "t": list(range(number % 3))} for number in range(7)]
    prepared = prepare(query)
    whole, rest = prepared.page(enumerate(documents), now=0, size=1000)
    assert rest is None
    found: list[Any] = []
    position: dict[str, Any] | None = {}
    while position is not None:
        position = json.loads(json.dumps(position)) or None  # as a token takes it
        page, position = prepared.page(enumerate(documents), now=0, size=size, after=position)
        assert len(page) <= size
        found += page
    assert whole == found
