"""Runs a Python program in process against a monitor and gives the deployment."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import gc
import inspect
import runpy
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.deployment import Deployment, Problem, ProgramError, SourceLine
from ringfence.engine import _pulumi_sdk as sdk
from ringfence.engine.faults import explain, unwrap
from ringfence.engine.frames import is_user_file, line_of_waiting
from ringfence.engine.monitor import FEATURES, Monitor
from ringfence.engine.sandbox import (
    Printed,
    guarded_modules,
    line_of_threads,
    started_threads,
    surroundings,
    wait_for_threads,
)
from ringfence.engine.time_limit import TimeLimitExceeded, time_limit
from ringfence.providers.interface import Provider

if TYPE_CHECKING:
    from ringfence.engine.repairs import Repair

__all__ = ["Program", "run_program"]

_CLOSING_TIME = 2.0
"""Seconds that the tasks which a program leaves behind have for their cancellation."""

_ONE_AT_A_TIME = threading.Lock()
"""The program's folder, import path and standard output belong to the process: one program at a time has them."""


@dataclass(frozen=True)
class Program:
    """What to run and under what."""

    folder: Path
    """Working folder and first entry of the import path."""
    project: str
    stack: str
    main: Path | None = None
    """The program's file; None where `function` is the program."""
    function: Callable[[], Any] | None = None
    """A callable that registers resources; it may be a coroutine function."""
    root: Path | None = None
    """The folder of Pulumi.yaml, `folder` by default."""
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    """Full key to value."""
    secret_keys: frozenset[str] = frozenset()
    undecrypted: frozenset[str] = frozenset()
    """Keys of secrets that could not be decrypted: unknown to the program."""
    stack_references: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Notes that the user should see, for example about config."""
    time_limit: float = 60.0
    """Seconds, for all runs of the program together."""
    recover: bool = True
    """Whether to repair what can be repaired and run the program again, to find what else is wrong with it."""
    most_repairs: int = 20
    """Repairs that are tried, and so how often the program is run again at most."""


def run_program(program: Program, provider: Provider) -> Deployment:
    """Run a program to its end or its fault. Its own fault is in the deployment's `error`; nothing is raised."""
    if not _loop_runs():
        return _run_program(program, provider)
    # A loop runs on this thread (a notebook's, an asynchronous test's), and a thread runs one at a time.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_run_program, program, provider).result()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_program(program: Program, provider: Provider) -> Deployment:
    with _ONE_AT_A_TIME:
        deadline = time.monotonic() + program.time_limit
        first = _Run(program, provider)
        deployment = first.evaluate()
        if first.repair is None:
            return deployment
        # Imported here, as is the diagnosis: only a program that breaks off needs it.
        from ringfence.engine.recovery import Attempt, recover

        def again(repairs: Sequence[Repair], seconds: float) -> Attempt:
            run = _Run(replace(program, time_limit=seconds), provider, repairs)
            return Attempt(run.evaluate(), run.repair)

        return recover(Attempt(deployment, first.repair), again, deadline=deadline, most=program.most_repairs)


class _Run:
    def __init__(self, program: Program, provider: Provider, repairs: Sequence[Repair] = ()) -> None:
        self.program = program
        self.repairs = repairs
        self.repair: Repair | None = None
        """What would repair the fault that ended the program."""
        self.hooks = sdk.Hooks(undecrypted=program.undecrypted)
        self.monitor = Monitor(
            project=program.project,
            stack=program.stack,
            organization=program.organization,
            provider=provider,
            config=program.config,
            secret_keys=program.secret_keys,
            stack_references=program.stack_references,
            working_directory=program.folder,
            call_back=sdk.call_back,
            recovering=bool(repairs),
            order=self._place,
        )
        self.printed = Printed()
        self.error: ProgramError | None = None
        self._used: dict[tuple[str, str], int] = {}

    def evaluate(self) -> Deployment:
        # Whatever the SDK sets, it sets in context variables: a context of its own isolates the run.
        return contextvars.copy_context().run(self._go)

    def _go(self) -> Deployment:
        for note in self.program.notes:
            self.monitor.note(note)
        with ExitStack() as stack:
            stack.enter_context(surroundings(self.program.folder, self.printed, script=self._script()))
            if self.program.main is not None:
                stack.enter_context(guarded_modules(self.program.folder, sdk.forget_packages))
            stack.enter_context(sdk.patched(self.hooks))
            self._apply_repairs(stack)
            stack.enter_context(_few_collections())
            unawaited = stack.enter_context(_unawaited_coroutines())
            self._run_loop()
            if self.error is not None:
                # An exception and the frames that it went through hold each other: what they hold goes now, not in
                # the next run. Almost all of it is young.
                sdk.release(self.hooks)
                gc.collect(1)
            coroutines = unawaited()
        self._report_texts()
        for line, name in coroutines:
            self._report(
                "PG07",
                f"The coroutine {name!r} was never awaited: what it would do does not happen.",
                line,
                "Await it, or hand it to pulumi.Output.from_input.",
            )
        return self._deployment()

    def _script(self) -> str:
        return str(self.program.main) if self.program.main is not None else ""

    def _apply_repairs(self, stack: ExitStack) -> None:
        if not self.repairs:
            return
        from ringfence.engine.stand_ins import accepted_as_resources

        stack.enter_context(accepted_as_resources())
        for repair in self.repairs:
            stack.enter_context(repair.apply(self.monitor.problems.append))

    # --- the program ---------------------------------------------------------------------------------------------

    def _run_loop(self) -> None:
        program = self.program
        sdk.configure(
            adapter=sdk.MonitorAdapter(self.monitor, FEATURES),
            project=program.project,
            stack=program.stack,
            organization=program.organization,
            root_directory=str(program.root or program.folder),
            config=program.config,
            secret_keys=program.secret_keys,
        )
        loop = sdk.EngineLoop()
        loop.set_exception_handler(lambda *_: None)
        threads: list[threading.Thread] = []
        try:
            with started_threads() as threads, time_limit(program.time_limit):
                loop.run_until_complete(sdk.run_in_stack(self._start, self.hooks))
                wait_for_threads(threads)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a program raises is a result here
            if isinstance(error, TimeLimitExceeded) and error.source is None:
                error.source = sdk.waiting_line(loop, self.hooks, error) or line_of_threads(threads)
            self.error = explain(error, self.hooks, limit=program.time_limit, main=program.main)
            if program.recover and not isinstance(error, TimeLimitExceeded):
                from ringfence.engine.diagnosis import diagnose

                root = unwrap(error)[0]
                self.repair = diagnose(root, self.hooks.traceback_of(root), self.error.source)
        finally:
            self._close(loop)

    def _start(self) -> Any:
        if self.program.function is not None:
            return self.program.function()
        assert self.program.main is not None
        _run_file(self.program.main)
        return None

    def _close(self, loop: sdk.EngineLoop) -> None:
        try:
            with time_limit(_CLOSING_TIME):
                left = [task for task in asyncio.all_tasks(loop) if not task.done()]
                if self.error is None:
                    self._report_tasks(left)
                for task in left:
                    task.cancel()
                if left:
                    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
                loop.run_until_complete(loop.shutdown_asyncgens())
        except (TimeLimitExceeded, RuntimeError):
            for task in asyncio.all_tasks(loop):
                # It swallows its cancellation. To collect it would run its code once more: it lives on, unused.
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))
        finally:
            sdk.drop_callback_servers(loop)
            if not loop.is_running():
                loop.close()

    # --- what went wrong -----------------------------------------------------------------------------------------

    def _report(self, code: str, message: str, source: SourceLine | None, remedy: str) -> None:
        self.monitor.problems.append(Problem(code=code, message=message, remedy=remedy, source=source))

    def _report_texts(self) -> None:
        if not self.hooks.texts:
            return
        holders: list[tuple[tuple[str, str], str | None, str, SourceLine | None]] = [
            ((resource.type, resource.name), resource.urn, key, resource.source)
            for resource in self.monitor.ordered_resources()
            for key, value in resource.inputs.items()
            if _holds_output_text(value)
        ]
        holders += [
            (("", key), None, key, None)
            for key, value in self.monitor.stack_outputs.items()
            if _holds_output_text(value)
        ]
        for (type_, name), urn, key, source in holders:
            # The text was most likely made just before what holds it.
            before = self.hooks.texts_before.get((type_, name), 0)
            holder = name if type_ else "the stack's output"
            self.monitor.problems.append(
                Problem(
                    code="PG06",
                    message=f"{holder}: {key} holds the text of an Output object instead of its value.",
                    urn=urn,
                    path=key,
                    expected="the value of the output",
                    actual="the text 'Calling __str__ on an Output[T] is not supported…'",
                    remedy="Use pulumi.Output.format, pulumi.Output.concat or apply instead of an f-string or str().",
                    source=self.hooks.texts[before - 1] if before else source or self.hooks.texts[0],
                )
            )

    def _report_tasks(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            coroutine: Any = task.get_coro()
            line = line_of_waiting(coroutine)
            if line is None or not is_user_file(coroutine.cr_code.co_filename):
                continue
            self._report(
                "PG08",
                f"The program ended while its task {coroutine.__qualname__!r} still ran: it was cancelled.",
                line,
                "Await the task, or register its result as an output.",
            )

    # --- the result ----------------------------------------------------------------------------------------------

    def _place(self, type_: str, name: str) -> int:
        made = self.hooks.constructed.get((type_, name))
        if not made:
            return 0
        index = self._used.get((type_, name), 0)
        self._used[(type_, name)] = index + 1
        return made[min(index, len(made) - 1)][0]

    def _deployment(self) -> Deployment:
        monitor = self.monitor
        diagnostics = list(monitor.diagnostics)
        if self.error is None:
            # `pulumi.log.error` makes a deployment fail, even where the program goes on.
            logged = [item for item in diagnostics if item.severity == "error"]
            if logged:
                self.error = ProgramError(f"The program logged an error: {logged[0].message}", self.hooks.error_line)
        return Deployment(
            project=self.program.project,
            stack=self.program.stack,
            path=self.program.root or self.program.folder,
            resources=monitor.ordered_resources(),
            outputs=monitor.stack_outputs,
            diagnostics=tuple(diagnostics),
            problems=tuple(monitor.problems),
            printed=self.printed.text,
            error=self.error,
        )


def _run_file(main: Path) -> None:
    """Run a file as `__main__`, in the program's module table."""
    if main.suffix != ".py":
        runpy.run_path(str(main), run_name="__main__")
        return
    module = types.ModuleType("__main__")
    module.__file__ = str(main)
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    exec(compile(main.read_bytes(), str(main), "exec", dont_inherit=True), module.__dict__)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Let the garbage collector run seldom: a deployment is a growing graph that it would walk in vain."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _unawaited_coroutines() -> Iterator[Callable[[], list[tuple[SourceLine, str]]]]:
    """Collect the user's coroutines that nothing awaited, instead of Python's warning about them.

    Python tells where a coroutine was made if it is asked to keep that. One made before has no such mark and is none
    of this run's business.
    """
    found: list[tuple[SourceLine, str]] = []
    warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
    depth = sys.get_coroutine_origin_tracking_depth()

    def keep(coroutine: types.CoroutineType[Any, Any, Any]) -> None:
        if not coroutine.cr_origin:
            warn(coroutine)
            return
        filename, line, _ = coroutine.cr_origin[0]
        if is_user_file(filename):
            found.append((SourceLine(filename, line), coroutine.__qualname__))

    def collect() -> list[tuple[SourceLine, str]]:
        # What the program keeps in a variable of its main module does not go away by itself.
        for value in list(vars(sys.modules["__main__"]).values()):
            if isinstance(value, types.CoroutineType) and value.cr_origin and not value.cr_running:
                if inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
                    keep(value)
                value.close()
        return found

    sys.set_coroutine_origin_tracking_depth(1)
    warnings._warn_unawaited_coroutine = keep  # type: ignore[attr-defined]
    try:
        yield collect
    finally:
        warnings._warn_unawaited_coroutine = warn  # type: ignore[attr-defined]
        sys.set_coroutine_origin_tracking_depth(depth)


def _holds_output_text(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if sdk.OUTPUT_AS_TEXT in item:
                return True
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False
