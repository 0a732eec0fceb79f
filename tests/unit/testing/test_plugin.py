"""The pytest plugin, in pytest runs of its own."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PROGRAM = """
import os, socket, sys
import pulumi
from sizes import SIZES

class Queue(pulumi.CustomResource):
    def __init__(self, name, opts=None, **inputs):
        super().__init__("aws:sqs/queue:Queue", name, inputs, opts)

config = pulumi.Config()
SIZES.append(config.require_int("size"))
jobs = Queue(
    "jobs",
    visibilityTimeoutSeconds=SIZES[-1],
    fifo=False,
    password=pulumi.Output.secret("hunter2!"),
    rules=[{"port": 22}],
    redrive=config.get("redrive"),
)
pulumi.export("sizes", SIZES)
pulumi.export("credentials", [name for name in os.environ if name.startswith(("AWS_ACCESS", "ARM_"))])
"""
LINE_OF_JOBS = PROGRAM.split("\n").index("jobs = Queue(") + 1


@pytest.fixture
def shop(pytester: pytest.Pytester) -> Path:
    """Make a project of one queue and two stacks, and let the runs start in processes of their own."""
    folder = pytester.mkdir("shop")
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text("config:\n  shop:size: 3\n")
    (folder / "Pulumi.prod.yaml").write_text("config:\n  shop:size: 30\n")
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "sizes.py").write_text("SIZES = []\n")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return folder


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # Of its own process: a run within this one would share what the engine patches for its length.
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)


# --- fixtures --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shop")
def test_a_test_runs_once_for_each_stack(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_size(deployment):
            queue = deployment.one("aws:sqs/queue:Queue", name="jobs")
            assert queue.inputs["visibilityTimeoutSeconds"] in (3, 30)
            assert queue.inputs["rules"] == [{"port": 22}]
            assert queue.inputs["password"] == "hunter2!"
            assert deployment.outputs["sizes"] == [queue.inputs["visibilityTimeoutSeconds"]]
            assert [item.name for item in deployment] == ["jobs"]
        """
    )

    result = run(pytester, "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_size?shop-dev? PASSED*", "*::test_size?shop-prod? PASSED*"])


@pytest.mark.parametrize("argument", ["shop", "@absolute"])
def test_the_marker_says_which_stacks_under_which_config(pytester: pytest.Pytester, shop: Path, argument: str) -> None:
    project = str(shop) if argument == "@absolute" else argument
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.ringfence({project!r}, stacks=["prod"], config={{"size": 7}})
        def test_size(deployment):
            assert deployment.one(name="jobs").inputs["visibilityTimeoutSeconds"] == 7
        """
    )

    run(pytester).assert_outcomes(passed=1)


@pytest.mark.usefixtures("shop")
def test_the_settings_say_which_projects_and_stacks(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nringfence_projects = shop\nringfence_stacks = prod\n")
    pytester.makepyfile("def test_it(deployment): assert deployment.deployment.stack == 'prod'")

    run(pytester).assert_outcomes(passed=1)


def test_a_test_within_a_project_is_for_that_project(pytester: pytest.Pytester, shop: Path) -> None:
    other = pytester.mkdir("other")
    (other / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    (other / "__main__.py").write_text("")
    (shop / "tests").mkdir()
    (shop / "tests" / "test_own.py").write_text("def test_it(deployment): assert deployment.one(name='jobs')")

    run(pytester).assert_outcomes(passed=2)


def test_a_callable_with_config_and_a_secret(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pulumi
        from ringfence.deployment import Secret

        class Thing(pulumi.CustomResource):
            def __init__(self, name, **inputs):
                super().__init__("test:index:Thing", name, inputs)

        def program():
            config = pulumi.Config()
            Thing("a", size=config.get_object("sizes")[0], password=config.require_secret("password"))

        def test_it(ringfence):
            result = ringfence.evaluate(program, config={"sizes": [1, 2], "password": Secret("hunter2!")})
            thing = result.one("test:index:Thing")
            assert thing.inputs["size"] == 1
            assert repr(thing.inputs["password"]) == "[secret]"
            assert thing.inputs["password"].reveal() == "hunter2!"
            assert thing.source.path == __file__
        """
    )

    run(pytester).assert_outcomes(passed=1)


@pytest.mark.usefixtures("shop")
def test_a_broken_config_is_in_the_result_or_fails_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_refused(ringfence):
            result = ringfence.evaluate("shop", config={"size": "many"})
            assert "size" in result.error.message

        @pytest.mark.ringfence("shop", stacks=["dev"], config={"size": "many"})
        def test_needs_it(deployment):
            raise AssertionError("it never runs")
        """
    )

    result = run(pytester)

    result.assert_outcomes(passed=1, errors=1)
    line = PROGRAM.split("\n").index('SIZES.append(config.require_int("size"))') + 1
    result.stdout.fnmatch_lines([f"shop/__main__.py:{line}: *"])


def test_no_project_at_all(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(deployment): pass")

    result = run(pytester)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ringfence: there is no Pulumi project at or below *"])


# --- what a failure shows --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shop")
def test_a_failing_assert_shows_the_resource_and_its_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.ringfence("shop", stacks=["dev"])

        def test_first(deployment):
            assert deployment.one(name="jobs").inputs["rules"][0]["port"] == 22

        def test_size(deployment):
            queue = deployment.one("aws:sqs/queue:Queue", name="jobs")
            assert queue.inputs["password"] == "hunter2!"
            assert not queue.inputs.get("absent")
            assert queue.inputs["visibilityTimeoutSeconds"] == 30

        def test_bool(deployment):
            assert deployment.one(name="jobs").inputs["fifo"]
        """
    )

    result = run(pytester)

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E       assert 3 == 30",
            "*ringfence: what the test read*",
            f"aws:sqs/queue:Queue 'jobs' (shop/__main__.py:{LINE_OF_JOBS})",
            "    password = [[]secret]",
            "    absent = (not set)",
            "    visibilityTimeoutSeconds = 3",
            "*test_bool*",
            f"aws:sqs/queue:Queue 'jobs' (shop/__main__.py:{LINE_OF_JOBS})",
            "    fifo = False",
        ]
    )
    shown = result.stdout.str()
    assert "port = 22" not in shown, "what a test before has read"
    assert shown.count("hunter2!") == 1, "the test's own line, and nothing else"


@pytest.mark.usefixtures("shop")
def test_queries_that_find_nothing_say_what_there_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from ringfence.testing.evaluated import MissingValueError, NoSuchResourceError

        pytestmark = pytest.mark.ringfence("shop", stacks=["dev"])

        def test_resource(deployment):
            with pytest.raises(NoSuchResourceError) as raised:
                deployment.one("aws:sqs/queue:Queue", name="mail")
            assert str(raised.value) == (
                "no resource is aws:sqs/queue:Queue 'mail'; there are:\\n"
                "  aws:sqs/queue:Queue 'jobs' (shop/__main__.py:LINE)"
            )

        def test_key(deployment):
            with pytest.raises(MissingValueError, match="did you mean 'visibilityTimeoutSeconds'"):
                deployment.one(name="jobs").inputs["visibilityTimeout"]
        """.replace("LINE", str(LINE_OF_JOBS))
    )

    run(pytester).assert_outcomes(passed=2)


@pytest.mark.usefixtures("shop")
def test_an_unknown_value_is_equal_to_unknown_and_to_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from ringfence.deployment import UNKNOWN
        from ringfence.testing.evaluated import UndecidedValueError

        @pytest.mark.ringfence("shop", stacks=["dev"], outputs="unknown")
        def test_it(deployment):
            id_ = deployment.one(name="jobs").outputs["id"]
            assert id_ == UNKNOWN
            for compare in (lambda: id_ != "x", lambda: id_ == "x", lambda: not id_, lambda: id_ in ["x"]):
                with pytest.raises(UndecidedValueError, match="id of outputs of .* is not known before apply"):
                    compare()
        """
    )

    run(pytester).assert_outcomes(passed=1)


# --- isolation -------------------------------------------------------------------------------------------------------

LEAKS = """
import os, sys
import pulumi
import pytest

def leaks():
    assert "LEAK" not in os.environ and pulumi.Config("a").get("b") is None
    assert not getattr(pulumi, "leaked", False)
    os.environ["LEAK"] = "1"
    sys.path.insert(0, "/leak")
    pulumi.runtime.set_config("a:b", "1")
    pulumi.runtime.register_resource_transform(lambda args: None)
    os.chdir("/")
    raise ValueError("on purpose")

@pytest.mark.parametrize("turn", range(4))
def test_leaks(ringfence, turn):
    before = os.getcwd()
    result = ringfence.evaluate(leaks)
    assert "on purpose" in result.error.message
    assert (os.getcwd(), "LEAK" in os.environ, "/leak" in sys.path) == (before, False, False)

@pytest.mark.parametrize("turn", range(4))
def test_project(ringfence, turn):
    result = ringfence.evaluate("shop", stack="prod")
    assert result.error is None
    assert result.outputs["sizes"] == [30], "a module of the program lives on"
    assert "sizes" not in sys.modules
"""


@pytest.mark.parametrize("order", ["as written", "backwards"])
@pytest.mark.usefixtures("shop")
def test_nothing_leaks_in_either_order(pytester: pytest.Pytester, order: str) -> None:
    pytester.makepyfile(LEAKS)
    if order == "backwards":
        pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()")

    run(pytester).assert_outcomes(passed=8)


@pytest.mark.usefixtures("shop")
def test_with_xdist(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        LEAKS
        + """
@pytest.mark.ringfence_findings("shop", stacks=["dev"], select=["SQ"])
def test_findings(finding):
    finding.verify()

def test_shown(deployment):
    assert deployment.one(name="jobs").inputs["visibilityTimeoutSeconds"] == 3
"""
    )

    result = run(pytester, "-n", "2")

    result.stdout.fnmatch_lines(
        ["*ringfence: what the test read*", "aws:sqs/queue:Queue 'jobs' (*)", "    visibilityTimeoutSeconds = 30"]
    )
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"] >= 9, outcomes["failed"] >= 2) == (True, True)
    assert "errors" not in outcomes


@pytest.mark.usefixtures("shop")
def test_under_coverage(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LEAKS)

    result = run(pytester, "--cov=shop", "--cov-report=term-missing", "--cov-branch")

    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["shop/__main__.py *100%*", "shop/sizes.py *100%*"])


def test_no_credentials_and_no_network(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, shop: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("ARM_CLIENT_SECRET", "s")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert shop.is_dir()
    pytester.makepyfile(
        """
        import os, socket, threading
        import pytest
        from ringfence.testing.hermetic import NetworkBlockedError

        def asks(function, *arguments):
            with pytest.raises(NetworkBlockedError, match="reaches no network"):
                function(*arguments)

        def program():
            assert os.environ["AWS_REGION"] == "eu-west-1"
            assert open(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).read() == ""
            asks(socket.create_connection, ("example.com", 80))
            asks(socket.create_connection, ("192.0.2.1", 80))
            asks(socket.gethostbyname, "example.com")
            asks(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b"x", ("192.0.2.1", 53))
            asks(socket.socket(socket.AF_INET6).connect_ex, ("2001:db8::1", 80))
            server = socket.create_server(("127.0.0.1", 0))
            with socket.create_connection(("localhost", server.getsockname()[1])):
                server.close()
            one, other = socket.socketpair()
            one.close(), other.close()

        @pytest.mark.filterwarnings("ignore::ResourceWarning")
        @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
        def test_program(ringfence):
            connect = socket.socket.connect
            assert ringfence.evaluate(program).error is None
            assert socket.socket.connect is connect
            assert os.environ["AWS_ACCESS_KEY_ID"] == "AKIA"
            assert "AWS_SHARED_CREDENTIALS_FILE" not in os.environ

        def test_project(ringfence):
            assert ringfence.evaluate("shop").outputs["credentials"] == []
        """
    )

    run(pytester).assert_outcomes(passed=2)


# --- findings --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shop")
def test_one_test_for_each_finding(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ringfence_findings("shop", stacks=["dev"], select=["SQ01", "SQ07"])
        def test_guardrails(finding):
            finding.verify()
        """
    )

    result = run(pytester, "-v")

    result.stdout.fnmatch_lines(
        [
            "*::test_guardrails?shop-dev-SQ01-jobs? PASSED*",
            "*::test_guardrails?shop-dev-SQ07-jobs? FAILED*",
            f"E *shop/__main__.py:{LINE_OF_JOBS}: SQ07 sqs-dead-letter-queue (mandatory, high)",
            "E *aws:sqs/queue:Queue 'jobs': *",
            "E *Remedy: *",
        ]
    )


def test_a_policy_report_for_a_whole_repository(pytester: pytest.Pytester, shop: Path) -> None:
    (shop / "ringfence.toml").write_text(
        '[rules.SQ07]\nlevel = "advisory"\n[[exempt]]\nrule = "SQ08"\nreason = "r"\nowner = "o"\n'
    )
    broken = pytester.mkdir("broken")
    (broken / "Pulumi.yaml").write_text("name: broken\nruntime: python\n")
    (broken / "__main__.py").write_text("\nraise ValueError('on purpose')\n")

    result = run(pytester, "--ringfence", "--junit-xml=report.xml", "-rA")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*broken/__main__.py:2: *on purpose*"])
    cases = {
        case.get("name"): case for case in ElementTree.parse(pytester.path / "report.xml").getroot().iter("testcase")
    }
    assert [child.tag for child in cases["dev-program"]] == ["failure"]
    advisory = cases["prod-SQ07-jobs"]
    assert {item.get("name"): item.get("value") for item in advisory.iter("property")} == {
        "rule": "SQ07",
        "policy": "sqs-dead-letter-queue",
        "pack": "ringfence",
        "verdict": "fail",
        "level": "advisory",
        "severity": "high",
        "urn": "urn:pulumi:prod::shop::aws:sqs/queue:Queue::jobs",
    }
    (skipped,) = advisory.iter("skipped")
    assert skipped.get("type") == "pytest.xfail"
    assert f"shop/__main__.py:{LINE_OF_JOBS}: SQ07" in (skipped.get("message") or "")
    assert [child.tag for child in cases["prod-SQ01-jobs"]] == ["properties"], "a pass"


@pytest.mark.parametrize(("strict", "outcome"), [("false", "skipped"), ("true", "failed")])
def test_what_is_undecided(pytester: pytest.Pytester, strict: str, outcome: str) -> None:
    folder = pytester.mkdir("unknown")
    (folder / "Pulumi.yaml").write_text("name: unknown\nruntime: python\n")
    (folder / "__main__.py").write_text(
        "import pulumi\n"
        "first = pulumi.CustomResource('test:index:Thing', 'first', {})\n"
        "pulumi.CustomResource('azure-native:storage:StorageAccount', 'a', {'minimumTlsVersion': first.id})\n"
    )
    pytester.makeini(f"[pytest]\nringfence_strict_unknowns = {strict}\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ringfence_findings("unknown", select=["ST02"], outputs="unknown")
        def test_it(finding):
            finding.verify()
        """
    )

    result = run(pytester, "-rs")

    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["*minimumTlsVersion is not known before apply*"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'shop', select=['XX99']", "ringfence: *XX99*"),
        ("'nowhere'", "ringfence: */nowhere: there is no such folder*"),
        ("'shop', sellect=['SQ']", "ringfence: marker ringfence_findings: there is no argument 'sellect'"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_marker_that_is_wrong(pytester: pytest.Pytester, arguments: str, message: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.ringfence_findings({arguments})
        def test_it(finding):
            finding.verify()
        """
    )

    result = run(pytester)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


# --- inert where it is not used --------------------------------------------------------------------------------------


def test_a_run_without_it_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.mkdir("shop").joinpath("Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            names = ["pulumi", "hypothesis", "pydantic", "yaml", "rich", "ringfence.deployment", "ringfence_policies"]
            assert "ringfence.testing.plugin" in sys.modules
            assert [name for name in names if name in sys.modules] == []
        """
    )

    run(pytester, "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_the_plugin_imports_pytest_and_nothing_else() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import ringfence.testing.plugin; "
        "print(*sorted(name for name in set(sys.modules) - before if name.partition('.')[0] not in "
        "(*sys.stdlib_module_names, 'ringfence')))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
