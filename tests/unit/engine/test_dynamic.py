"""Dynamic providers: `check` runs as in a preview, `create` does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.deployment import UNKNOWN, Deployment, Secret
from tests.unit.engine.rehearsal import EchoProvider, line_of, named, rehearse_file

PROGRAM = """
import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, ConfigureRequest, CreateResult, Resource, ResourceProvider


class Rows(ResourceProvider):
    def configure(self, request: ConfigureRequest) -> None:
        self.prefix = request.config.get("prefix")

    def check(self, olds, news):
        {check}

    def create(self, props):
        raise AssertionError("create must not run")


class Table(Resource):
    rows: pulumi.Output[int]
    made: pulumi.Output[str]

    def __init__(self, name, props, opts=None):
        super().__init__(Rows(), name, {{"made": None, **props}}, opts)  # line: class


table = Table("table", {{"rows": {rows}}})  # line: table
pulumi.export("rows", table.rows)
pulumi.export("made", table.made)
"""
NEWS = "return CheckResult({**news, 'prefix': self.prefix, 'rows': news['rows'] + 1}, [])"


def run(folder: Path, check: str, rows: str = "3", provider: Any = None) -> Deployment:
    text = PROGRAM.format(check=check, rows=rows)
    return rehearse_file(folder, text, provider, config={"shop:prefix": "p-"})


def test_check_may_change_the_inputs_and_create_does_not_run(tmp_path: Path) -> None:
    deployment = run(tmp_path, NEWS)

    table = named(deployment, "table")
    assert table.type == "pulumi-python:dynamic:Resource"
    assert table.inputs == {"rows": 4, "prefix": "p-"}
    assert table.id is UNKNOWN
    assert deployment.outputs == {"rows": 4, "made": UNKNOWN}
    assert named(deployment, "default").urn.endswith("pulumi:providers:pulumi-python::default")
    assert [line.line for line in table.source_chain] == [
        line_of(tmp_path / "__main__.py", "class"),
        line_of(tmp_path / "__main__.py", "table"),
    ]


def test_what_check_refuses_fails_the_program_at_the_resource(tmp_path: Path) -> None:
    check = "return CheckResult(news, [CheckFailure('rows', 'too many'), CheckFailure('name', 'too long')])"
    error = run(tmp_path, check).error

    assert error is not None
    assert error.message == ("table: the dynamic provider's check refused the inputs: rows: too many; name: too long")
    assert error.source is not None
    assert error.source.line == line_of(tmp_path / "__main__.py", "class")


def test_a_check_that_raises_is_reported_at_its_own_line(tmp_path: Path) -> None:
    error = run(tmp_path, "return 1 / 0  # line: check").error

    assert error is not None
    assert error.message == "table: the dynamic provider's check raised ZeroDivisionError: division by zero"
    assert error.source is not None
    assert error.source.path == str(tmp_path / "__main__.py")
    assert error.source.line == line_of(tmp_path / "__main__.py", "check")


def test_a_secret_that_check_hands_through_stays_secret(tmp_path: Path) -> None:
    deployment = run(tmp_path, "return CheckResult(news, [])", rows="pulumi.Output.secret(3)")

    assert named(deployment, "table").inputs == {"rows": Secret(3)}
    assert deployment.outputs["rows"] == Secret(3)


def test_check_does_not_run_on_inputs_that_are_not_known(tmp_path: Path) -> None:
    text = """
    import pulumi
    from pulumi.dynamic import CheckResult, Resource, ResourceProvider

    class Strict(ResourceProvider):
        def check(self, olds, news):
            raise ValueError(f"not a name: {news['of']}")

    class Table(Resource):
        def __init__(self, name, props):
            super().__init__(Strict(), name, props)

    other = pulumi.CustomResource("test:index:Thing", "thing", {})
    Table("table", {"of": other.id})
    """
    deployment = rehearse_file(tmp_path, text, EchoProvider("unknown"))

    assert named(deployment, "table").inputs == {"of": UNKNOWN}
    assert [item.message for item in deployment.diagnostics] == [
        "table: the dynamic provider's check does not take the unknown inputs: they are left unchecked."
    ]


def test_a_check_sees_unknowns_as_their_mark_and_may_add_defaults(tmp_path: Path) -> None:
    check = "return CheckResult({**news, 'size': news.get('size', 7), 'text': f'rows: {news[\"rows\"]}'}, [])"
    rows = "pulumi.CustomResource('test:index:Thing', 'thing', {}).id"

    table = named(run(tmp_path, check, rows, EchoProvider("unknown")), "table")

    assert table.inputs == {"rows": UNKNOWN, "size": 7, "text": UNKNOWN}


def test_a_check_that_exits_does_not_end_the_rehearsal(tmp_path: Path) -> None:
    error = run(tmp_path, "import sys; sys.exit(4)  # line: check").error

    assert error is not None
    assert error.message == "The program ended itself by sys.exit(4) before it was done."
    assert error.source is not None
    assert error.source.line == line_of(tmp_path / "__main__.py", "check")
