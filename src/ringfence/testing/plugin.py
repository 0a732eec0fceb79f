"""The pytest plugin: evaluates projects and callables in tests, and turns a policy check into tests.

It is loaded into every pytest run of an environment that has ringfence, so importing it imports pytest and Python's own
modules only; the engine, pulumi and the rules come when a test asks for them.

Fixtures: `ringfence` (a `Rehearsal`), `deployment`, `ringfence_target`. Markers: `ringfence`, `ringfence_findings`.
Option: `--ringfence`. Settings: `ringfence_projects`, `ringfence_stacks`, `ringfence_strict_unknowns`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from ringfence.check import Target
    from ringfence.deployment import Deployment
    from ringfence.policy.verdict import Finding
    from ringfence.providers.interface import OutputMode
    from ringfence.testing.evaluated import EvaluatedDeployment, Reads

__all__ = ["JudgedFinding", "Rehearsal"]

_READS: pytest.StashKey[Reads] = pytest.StashKey()
_SECTION = "ringfence: what the test read"
_PROJECT_FILES = ("Pulumi.yaml", "Pulumi.yml")


# --- evaluating ------------------------------------------------------------------------------------------------------


class Rehearsal:
    """Evaluates programs in process, without a cloud: the fixture `ringfence`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def evaluate(
        self,
        program: str | Path | Callable[[], Any],
        *,
        stack: str = "dev",
        config: Mapping[str, Any] | None = None,
        outputs: OutputMode = "synthetic",
        project: str = "project",
        stack_references: Mapping[str, Mapping[str, Any]] | None = None,
        invokes: Mapping[str, Mapping[str, Any]] | None = None,
        time_limit: float = 60.0,
    ) -> EvaluatedDeployment:
        """Evaluate a project folder (relative to pytest's root folder) or a callable that registers resources.

        `config` goes over that of Pulumi.<stack>.yaml; keys may leave out the project's namespace, and what is no
        string becomes JSON text, as `pulumi config set` has it. A `Secret` is only taken for a callable. `project` is
        the name of a callable's project. `time_limit` is in seconds. What is wrong with the program or its config is in
        the result's `error`.

        Each evaluation has its own modules, environment, working folder, import path and Pulumi settings; it sees no
        cloud credentials and reaches no network (`NetworkBlockedError`).
        """
        from ringfence.testing.evaluated import EvaluatedDeployment, Reads
        from ringfence.testing.hermetic import hermetic

        references, answers = stack_references or {}, invokes or {}
        with hermetic():
            if callable(program):
                deployment = _of_callable(
                    program, stack, config or {}, outputs, project, references, answers, time_limit
                )
            else:
                folder = self._config.rootpath / program
                deployment = _of_project(folder, stack, config or {}, outputs, references, answers, time_limit)
        reads = self._config.stash.setdefault(_READS, Reads())
        return EvaluatedDeployment(deployment, reads)


def _of_callable(
    function: Callable[[], Any],
    stack: str,
    config: Mapping[str, Any],
    outputs: OutputMode,
    project: str,
    stack_references: Mapping[str, Mapping[str, Any]],
    invokes: Mapping[str, Mapping[str, Any]],
    time_limit: float,
) -> Deployment:
    from ringfence.deployment import Secret, reveal
    from ringfence.engine.host import Program, run_program
    from ringfence.providers.offline import OfflineProvider

    full = {key if ":" in key else f"{project}:{key}": value for key, value in config.items()}
    program = Program(
        folder=_folder_of(function),
        function=function,
        project=project,
        stack=stack,
        config={key: _config_text(reveal(value)) for key, value in full.items()},
        secret_keys=frozenset(key for key, value in full.items() if isinstance(value, Secret)),
        stack_references=stack_references,
        time_limit=time_limit,
    )
    return run_program(program, OfflineProvider(outputs, invokes=invokes))


def _folder_of(function: Callable[[], Any]) -> Path:
    try:
        return Path(inspect.getfile(inspect.unwrap(function))).absolute().parent
    except (TypeError, OSError):  # a partial, an object with `__call__`
        return Path.cwd()


def _of_project(
    folder: Path,
    stack: str,
    config: Mapping[str, Any],
    outputs: OutputMode,
    stack_references: Mapping[str, Mapping[str, Any]],
    invokes: Mapping[str, Mapping[str, Any]],
    time_limit: float,
) -> Deployment:
    from ringfence.deployment import ProgramError, Secret
    from ringfence.settings import SettingsError, load_settings
    from ringfence.sources.interface import Request
    from ringfence.sources.project import EmbeddedSource

    secret = [key for key, value in config.items() if isinstance(value, Secret)]
    if secret:
        raise TypeError(f"config {secret[0]}: a secret can be given to a callable alone; a project has its own")
    request = Request(
        project=folder,
        stack=stack,
        config={key: _config_text(value) for key, value in config.items()},
        outputs=outputs,
        time_limit=time_limit,
    )
    source = EmbeddedSource()
    try:
        settings = load_settings(folder)
    except SettingsError as error:
        return dataclasses.replace(source.evaluate(request), error=ProgramError(str(error)))
    return source.evaluate(
        dataclasses.replace(
            request,
            stack_references={**settings.stack_references, **stack_references},
            invokes={**settings.invokes, **invokes},
        )
    )


def _config_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ringfence(pytestconfig: pytest.Config) -> Rehearsal:
    """Evaluate Pulumi programs in process, without a cloud, credentials or a network."""
    return Rehearsal(pytestconfig)


@pytest.fixture
def ringfence_target(request: pytest.FixtureRequest) -> Any:
    """Return the project and the stack (`path`, `stack`) that the test is run for."""
    return request.param


@pytest.fixture
def deployment(request: pytest.FixtureRequest, ringfence: Rehearsal, ringfence_target: Target) -> EvaluatedDeployment:
    """Evaluate the project, once for each of its stacks; which ones, the marker `ringfence` or the settings say."""
    marker = request.node.get_closest_marker("ringfence")
    given = {} if marker is None else {key: value for key, value in marker.kwargs.items() if key != "stacks"}
    result = ringfence.evaluate(ringfence_target.path, stack=ringfence_target.stack, **given)
    if result.error is not None:
        from ringfence.testing.evaluated import shown_line

        line = shown_line(result.error.source)
        pytest.fail(f"{f'{line}: ' if line else ''}{result.error.message}", pytrace=False)
    return result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what may be set."""
    group = parser.getgroup("ringfence", "Pulumi programs and policies")
    group.addoption(
        "--ringfence",
        action="store_true",
        help="Judge each Pulumi project among the collected folders: one test for each verdict of each rule.",
    )
    parser.addini(
        "ringfence_projects", "Project folders for the fixture `deployment`, from the root folder.", type="args"
    )
    parser.addini("ringfence_stacks", "Stacks to evaluate (default: each Pulumi.<stack>.yaml).", type="args")
    parser.addini("ringfence_strict_unknowns", "Whether an undecided mandatory rule fails.", type="bool")


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    config.addinivalue_line(
        "markers",
        "ringfence(*projects, stacks=(), config={}, outputs='synthetic', …): what the fixture `deployment` evaluates.",
    )
    config.addinivalue_line(
        "markers",
        "ringfence_findings(*projects, stacks=(), select=(), ignore=(), profiles=(), policy_packs=(), config={}, "
        "outputs='synthetic'): run the test once for each verdict of each rule, as its argument `finding`.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests once for each stack, or for each finding."""
    if "ringfence_target" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("ringfence")
        projects, stacks = (marker.args, marker.kwargs.get("stacks", ())) if marker else ((), ())
        targets = _targets(metafunc.config, projects, stacks, metafunc.definition.path)
        ids = [_target_id(target) for target in targets]
        metafunc.parametrize("ringfence_target", targets, ids=ids, indirect=True)
    marker = metafunc.definition.get_closest_marker("ringfence_findings")
    if marker is not None and "finding" in metafunc.fixturenames:
        options = dict(marker.kwargs)
        targets = _targets(metafunc.config, marker.args, options.pop("stacks", ()), metafunc.definition.path)
        found = [
            (f"{_target_id(target)}-{name}", item)
            for target in targets
            for name, item in _judged(metafunc.config, target, **options)
        ]
        metafunc.parametrize("finding", [item for _, item in found], ids=[name for name, _ in found])


def _target_id(target: Target) -> str:
    return f"{target.path.name}-{target.stack}"


def _targets(config: pytest.Config, projects: Sequence[str | Path], stacks: Sequence[str], test: Path) -> list[Target]:
    """Return projects with their stacks: those named, those of the settings, the test's own, all below the root."""
    from ringfence.check import find_targets
    from ringfence.sources.pulumi_yaml import find_project_file, find_projects

    root = config.rootpath
    folders = [root / project for project in projects or config.getini("ringfence_projects")]
    if not folders:
        own = [place for place in test.parents if place.is_relative_to(root) and find_project_file(place) is not None]
        folders = own[:1] or find_projects(root)
    if not folders:
        _refuse(f"there is no Pulumi project at or below {root}; name one: ringfence_projects, or the marker ringfence")
    missing = [folder for folder in folders if not folder.exists()]
    if missing:
        _refuse(f"{missing[0]}: there is no such folder (project folders are given from {root})")
    return find_targets(folders, tuple(stacks) or tuple(config.getini("ringfence_stacks")))


def _refuse(message: str) -> NoReturn:
    raise pytest.Collector.CollectError(f"ringfence: {message}")


# --- what a failed test read -----------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget what the test before has read."""
    reads = item.config.stash.get(_READS, None)
    if reads is not None:
        reads.entries.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure which resources the test looked at, with their source lines, and what it read."""
    report = yield
    reads = item.config.stash.get(_READS, None)
    add_section = getattr(report.longrepr, "addsection", None)
    if reads is not None and reads.entries and report.failed and add_section is not None:
        add_section(_SECTION, reads.text())
    return report


# --- findings as tests -----------------------------------------------------------------------------------------------


class PolicyViolationError(AssertionError):
    """A mandatory rule fails."""


@dataclasses.dataclass(frozen=True)
class JudgedFinding:
    """One verdict of one rule on one resource, or why the program could not be judged to its end."""

    finding: Finding | None
    text: str
    """All a reader needs: place, rule, message, remedy."""
    strict_unknowns: bool = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self.finding is None:
            raise AttributeError(name)
        return getattr(self.finding, name)

    def verify(self) -> None:
        """End the test as the verdict says.

        It fails where a mandatory rule fails or broke, or is undecided under `ringfence_strict_unknowns`; an advisory
        failure and an exempt one are expected failures (xfail); what is undecided is skipped. A pass is a pass.
        """
        __tracebackhide__ = True
        finding = self.finding
        if finding is None or finding.blocks:
            raise PolicyViolationError(self.text)
        match finding.verdict.value:
            case "pass":
                return
            case "unknown":
                if self.strict_unknowns and finding.level.value == "mandatory":
                    raise PolicyViolationError(self.text)
                pytest.skip(f"undecided: {self.text}")
            case "not-applicable":
                pytest.skip(self.text)
            case _:
                pytest.xfail(self.text)

    def __repr__(self) -> str:
        return self.text


def _judged(
    session: pytest.Config,
    target: Target,
    /,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    profiles: Iterable[str] = (),
    policy_packs: Iterable[str | Path] = (),
    config: Mapping[str, Any] | None = None,
    outputs: OutputMode = "synthetic",
    **more: Any,
) -> list[tuple[str, JudgedFinding]]:
    """Judge one stack: id and finding for every verdict but `not-applicable`."""
    if more:
        _refuse(f"marker ringfence_findings: there is no argument {next(iter(more))!r}")
    from ringfence.policy.pack import PackError

    result = Rehearsal(session).evaluate(target.path, stack=target.stack, config=config, outputs=outputs)
    packs = [pack if pack == "ringfence" else session.rootpath / pack for pack in policy_packs]
    try:
        findings = result.findings(select=select, ignore=ignore, profiles=profiles, policy_packs=packs)
    except (PackError, ValueError) as error:
        _refuse(str(error))
    strict = bool(session.getini("ringfence_strict_unknowns"))
    judged = []
    seen: dict[str, int] = {}
    for finding in findings:
        if finding.verdict.value == "not-applicable":
            continue
        name = f"{finding.code}-{finding.resource or target.stack}"
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
        judged.append((unique, JudgedFinding(finding, _text(finding), strict)))
    if result.error is not None:
        from ringfence.testing.evaluated import shown_line

        line = shown_line(result.error.source) or str(target.path)
        judged.insert(0, ("program", JudgedFinding(None, f"{line}: {result.error.message}")))
    return judged


def _text(finding: Finding) -> str:
    from ringfence.testing.evaluated import shown_line

    place = shown_line(finding.source)
    rule = finding.code if finding.code == finding.name else f"{finding.code} {finding.name}"
    about = f"{finding.type} {finding.resource!r}: " if finding.resource else ""
    lines = [f"{f'{place}: ' if place else ''}{rule} ({finding.level.value}, {finding.severity.value})"]
    lines.append(f"{about}{finding.message}")
    if finding.remedy:
        lines.append(f"Remedy: {finding.remedy}")
    return "\n".join(lines)


# --- projects as test files ------------------------------------------------------------------------------------------


class PolicyItem(pytest.Item):
    """One verdict of one rule on one resource of a project's stack."""

    def __init__(self, *, judged: JudgedFinding, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.judged = judged
        finding = judged.finding
        if finding is not None:
            self.user_properties += [
                ("rule", finding.code),
                ("policy", finding.name),
                ("pack", finding.pack),
                ("verdict", finding.verdict.value),
                ("level", finding.level.value),
                ("severity", finding.severity.value),
                ("urn", finding.urn),
            ]

    def runtest(self) -> None:
        """End as the verdict says."""
        self.judged.verify()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the finding; where it came from in this plugin tells nothing."""
        if isinstance(excinfo.value, PolicyViolationError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path | str, int | None, str]:
        """Return the line of the program that made the resource."""
        source = self.judged.finding.source if self.judged.finding is not None else None
        if source is None:
            return self.path, None, self.name
        return source.path, source.line - 1, self.name


class PolicyProject(pytest.File):
    """A Pulumi project, judged under each of its stacks."""

    def collect(self) -> Iterable[PolicyItem]:
        """Evaluate and judge."""
        from ringfence.check import find_targets

        for target in find_targets([self.path.parent], tuple(self.config.getini("ringfence_stacks"))):
            if target.error:
                _refuse(target.error)
            for name, judged in _judged(self.config, target):
                yield PolicyItem.from_parent(self, name=f"{target.stack}-{name}", judged=judged)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take project files for tests if `--ringfence` is given."""
    if file_path.name in _PROJECT_FILES and parent.config.getoption("--ringfence"):
        return PolicyProject.from_parent(parent, path=file_path)
    return None
