"""The search: the stacks' own configs first, then a walk over the bounds of each field, then random changes.

Examples are shared out to a fixed number of parts, whatever number of processes works on them, so that a seed means the
same on every machine.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import random
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from ringfence.check import CheckOptions, Target, check
from ringfence.deployment import Deployment, SourceLine
from ringfence.fuzz.shrink import shrink
from ringfence.fuzz.target import FuzzTarget, text_of
from ringfence.reports.interface import Result, TargetJudged
from ringfence.sources.interface import Request, Source
from ringfence.sources.project import EmbeddedSource

__all__ = ["Failure", "Found", "FuzzOptions", "Judge", "Searched", "Started", "Tried", "configs_of", "replay", "search"]

_PARTS = 2
_MOST_FAILURES = 5
"""Failures that are shrunk: more of them tell little."""


@dataclass(frozen=True)
class FuzzOptions:
    """How to search."""

    examples: int = 200
    seed: int = 0
    jobs: int = 1
    shrinking: int = 80
    """Configs that are tried to make one failure's smaller."""
    check: CheckOptions = field(default_factory=CheckOptions)


@dataclass(frozen=True)
class Failure:
    """One config that fails."""

    kind: str
    """`program-error`, `finding` or `not-deterministic`."""
    code: str
    """The rule's code, empty for an error."""
    message: str
    stack: str
    config: Mapping[str, Any]
    """By key of the space."""
    resource: str = ""
    source: SourceLine | None = None
    remedy: str = ""
    reproducible: bool = True
    """Whether the config failed in the same way each time."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one failure from another whatever the values are."""
        place = f"{self.source.path}:{self.source.line}" if self.source is not None else ""
        return self.kind, self.code, place or re.sub(r"[0-9]+", "", self.message)


@dataclass(frozen=True)
class Started:
    """The search begins."""

    examples: int


@dataclass(frozen=True)
class Tried:
    """So many configs were tried."""

    count: int
    shrinking: bool = False


@dataclass(frozen=True)
class Found:
    """A config fails; a smaller one with the same failure may follow, and replaces it."""

    failure: Failure


@dataclass(frozen=True)
class Searched:
    """The search is over."""

    tried: int


Event = Started | Tried | Found | Searched


def search(target: FuzzTarget, options: FuzzOptions, source: Source) -> Iterator[Event]:
    """Search for failures. Each is told at once, and again when it was made smaller.

    Raises `PackError` and `SettingsError` where the rules to judge by are wrong.
    """
    judge = Judge(target, options, source)
    yield Started(options.examples)
    tried = 0
    found: dict[tuple[str, str, str], Failure] = {}
    for message in _all_parts(judge):
        if isinstance(message, Failure):
            if message.key not in found or _size(judge, message.config) < _size(judge, found[message.key].config):
                found[message.key] = message
                yield Found(message)
        else:
            tried += 1
            yield Tried(tried)
    if isinstance(source, EmbeddedSource):
        source.start_next = True  # from here on, one config is tried after the other
    for failure in list(found.values())[:_MOST_FAILURES]:
        if failure.kind == "not-deterministic":
            continue
        shrunk = failure
        yield Tried(tried, shrinking=True)
        for shrunk in _ever_smaller(judge, failure):
            yield Found(shrunk)
            yield Tried(tried, shrinking=True)
        if not (judge.like(failure, shrunk.config) and judge.like(failure, shrunk.config)):
            yield Found(dataclasses.replace(shrunk, reproducible=False))
    yield Searched(tried)


def _ever_smaller(judge: Judge, failure: Failure) -> Iterator[Failure]:
    """Yield the same failure under ever smaller configs."""
    found: Failure | None = None

    def fails(config: Mapping[str, Any]) -> bool:
        nonlocal found
        found = judge.like(failure, config)
        return found is not None

    for _ in shrink(judge.target.space, failure.config, fails, judge.options.shrinking):
        assert found is not None
        yield found


def replay(
    target: FuzzTarget, config: Mapping[str, Any], stack: str, options: FuzzOptions, source: Source
) -> list[Failure]:
    """Return the failures of one config, as `FuzzTarget.document` writes it."""
    judge = Judge(target, options, source)
    base = next((base for base in target.bases if base.stack == stack), target.bases[0])
    texts = {key: text_of(value) for key, value in config.items()}
    request = Request(target.project.folder, base.stack, config=texts, leave_out=base.keys)
    return judge.twice(lambda: judge.run(request), {}, base.stack)


def _size(judge: Judge, config: Mapping[str, Any]) -> tuple[int, int]:
    simple = judge.target.space.simplest(config)
    return len(simple), len(repr(simple))


# --- one config ------------------------------------------------------------------------------------------------------


class _Exactly:
    """A source that evaluates one request, whatever it is asked for."""

    def __init__(self, source: Source, request: Request) -> None:
        self._source, self._request = source, request

    def evaluate(self, request: Request) -> Deployment:
        """Evaluate the config of the search, with the settings of the project."""
        exact = dataclasses.replace(request, config=self._request.config, leave_out=self._request.leave_out)
        return self._source.evaluate(exact)


class Judge:
    """Evaluates and judges configs of a target."""

    def __init__(self, target: FuzzTarget, options: FuzzOptions, source: Source) -> None:
        self.target, self.options, self.source = target, options, source

    def run(self, request: Request) -> Result:
        """Return what one evaluation gives, judged as the project's settings say."""
        once = dataclasses.replace(self.options.check, recover=False)
        events = check([Target(request.project, request.stack)], once, _Exactly(self.source, request))
        return next(event.result for event in events if isinstance(event, TargetJudged))

    def failures(self, result: Result, config: Mapping[str, Any], stack: str) -> list[Failure]:
        """Return what fails, each kind of failure once."""
        found = []
        error = result.deployment.error
        if error is not None:
            found.append(Failure("program-error", "", error.message, stack, config, "", error.source))
        for finding in result.findings:
            if finding.blocks:
                found.append(
                    Failure(
                        "finding",
                        finding.code,
                        finding.message,
                        stack,
                        config,
                        finding.resource,
                        finding.source,
                        finding.remedy,
                    )
                )
        return list({failure.key: failure for failure in reversed(found)}.values())[::-1]

    def of(self, config: Mapping[str, Any], *, twice: bool = False) -> list[Failure]:
        """Return the failures of one config; with `twice` also whether it gives the same each time."""
        base = self.target.base_of(config)
        request = self.target.request(config, base)
        if twice:
            return self.twice(lambda: self.run(request), config, base.stack)
        return self.failures(self.run(request), config, base.stack)

    def twice(self, run: Callable[[], Result], config: Mapping[str, Any], stack: str) -> list[Failure]:
        """Return the failures of two runs, and whether the runs differ."""
        first = run()
        found = self.failures(first, config, stack)
        difference = _difference(first.deployment, run().deployment)
        if difference:
            message = f"The program gives something else each time: {difference}."
            found.append(Failure("not-deterministic", "", message, stack, config))
        return found

    def like(self, failure: Failure, config: Mapping[str, Any]) -> Failure | None:
        """Return the failure of a config that fails like another, in its own words."""
        return next((item for item in self.of(config) if item.key == failure.key), None)


def _difference(one: Deployment, other: Deployment) -> str:
    """Return what differs between two deployments, in a few words; a value may be secret and is not told."""
    if (one.error is None) != (other.error is None):
        return "it fails at some times only"
    for urn in {*one.by_urn, *other.by_urn}:
        if urn not in one.by_urn or urn not in other.by_urn:
            return f"the resource {urn} is there at some times only"
    for first in one.resources:
        second = other.by_urn[first.urn]
        for key in sorted({*first.inputs, *second.inputs}):
            if repr(first.inputs.get(key)) != repr(second.inputs.get(key)):
                return f"{key} of {first.name} ({first.type}) differs"
        if (first.dependencies, first.options) != (second.dependencies, second.options):
            return f"options or dependencies of {first.name} ({first.type}) differ"
    for key in sorted({*one.outputs, *other.outputs}):
        if repr(one.outputs.get(key)) != repr(other.outputs.get(key)):
            return f"the stack's output {key} differs"
    return ""


# --- many configs ----------------------------------------------------------------------------------------------------


def _part(judge: Judge, number: int) -> Iterator[Failure | None]:
    """Try one part of the examples; yield each failure, and None for each config that was tried."""
    for index, config in enumerate(configs_of(judge.target, judge.options, number)):
        yield from judge.of(config, twice=index == 0)
        yield None


def configs_of(target: FuzzTarget, options: FuzzOptions, number: int) -> Iterator[dict[str, Any]]:
    """Yield the configs of one part, each once."""
    space = target.space
    count = options.examples // _PARTS + (number < options.examples % _PARTS)
    seen: set[str] = set()

    def new(config: Mapping[str, Any] | None) -> bool:
        if config is None or len(seen) >= count or repr(sorted(config.items(), key=str)) in seen:
            return False
        seen.add(repr(sorted(config.items(), key=str)))
        return True

    for base in space.bases[number::_PARTS]:
        if new(base):
            yield base
    bounds = [
        (base, key, value)
        for base in space.bases
        for key, setting in space.settings.items()
        for value in setting.values.boundaries
    ]
    random.Random(options.seed).shuffle(bounds)
    for base, key, value in bounds[number::_PARTS]:
        if len(seen) > count // 2:
            break
        changed = space.changed(base, key, value)
        if changed is not None and new(changed):
            yield changed
    for turn in range(3):
        if len(seen) < count:
            for config in _drawn(target, options.seed * 31 + number * 7 + turn, count - len(seen)):
                if new(config):
                    yield config


def _drawn(target: FuzzTarget, seed: int, count: int) -> list[dict[str, Any]]:
    import hypothesis
    from hypothesis import HealthCheck, Phase, Verbosity

    from ringfence.testing.strategies import settings_of

    drawn: list[dict[str, Any]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count + count // 4 + 1,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(settings_of(target.space))
    def collect(config: dict[str, Any]) -> None:
        drawn.append(config)

    collect()
    return drawn


def _all_parts(judge: Judge) -> Iterator[Failure | None]:
    if judge.options.jobs < 2 or not _can_fork():
        for number in range(_PARTS):
            yield from _part(judge, number)
        return
    context = multiprocessing.get_context("fork")  # the SDKs are loaded already, which takes seconds
    workers = []
    try:
        waiting: list[Any] = []
        for number in range(_PARTS):
            receiving, sending = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(judge, number, sending), daemon=True)
            worker.start()
            sending.close()
            workers.append(worker)
            waiting.append(receiving)
        while waiting:
            for connection in wait(waiting):
                assert isinstance(connection, Connection)
                try:
                    message = connection.recv()
                except EOFError:
                    waiting.remove(connection)
                    continue
                if isinstance(message, Exception):
                    raise message
                yield message
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _can_fork() -> bool:
    """Whether copies of this process can do what it does: gRPC does not work in those of one that has used it."""
    used = sys.modules.get("ringfence.engine.grpc_server")
    return "fork" in multiprocessing.get_all_start_methods() and not (used and used.MonitorServer.has_served)


def _work(judge: Judge, number: int, sending: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    try:
        for message in _part(judge, number):
            sending.send(message)
    except Exception as error:
        sending.send(error)
    finally:
        sending.close()
