"""Runs a program of any language in a process of its own against a monitor and gives the deployment."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ringfence.deployment import STACK_TYPE, Deployment, Diagnostic, ProgramError, SourceLine
from ringfence.engine.grpc_server import CallbackClients, MonitorServer
from ringfence.engine.languages.interface import LOGGED, Ended, Language, LaunchError, RemoteProgram, plain
from ringfence.engine.monitor import Monitor
from ringfence.engine.plugins import Plugins
from ringfence.engine.process_group import ProcessGroup
from ringfence.providers.interface import Provider

__all__ = ["RUNTIMES", "RemoteProgram", "run_remote_program"]

RUNTIMES = ("nodejs", "go", "python")
"""Runtimes whose programs run out of process."""
_DUMP_SECONDS = 5.0
"""How long a program that hangs has to say where."""
_GLANCE_SECONDS = 0.2
_LAST_SECONDS = 2.0
"""How long a program has to end after an error that nothing handled."""
_SHORTEST_HIDDEN = 3
"""Secrets shorter than this are not searched for in texts, as in the engine: they would be found everywhere."""


def run_remote_program(
    program: RemoteProgram, provider: Provider, meanwhile: Callable[[], None] | None = None
) -> Deployment:
    """Run a program to its end or its fault. Its own fault is in the deployment's `error`; nothing is raised.

    `meanwhile` is called once the program's process has started, which takes that a while.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_ended_with_us(_Run(program, provider, meanwhile)))
    # A loop runs on this thread (a notebook's, an asynchronous test's), and a thread runs one at a time.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(_Run(program, provider, meanwhile).evaluate())).result()


async def _ended_with_us(run: _Run) -> Deployment:
    """Evaluate a program so that SIGTERM ends its process with ours; Ctrl+C does so by asyncio itself."""
    task, told = asyncio.current_task(), False

    def tell() -> None:
        nonlocal told
        told = True
        assert task is not None
        task.cancel()

    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if mine:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tell)
    try:
        return await run.evaluate()
    except asyncio.CancelledError:
        if told:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        if mine:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


def _language(runtime: str) -> Language:
    # Imported here: a run needs one of them.
    match runtime:
        case "nodejs":
            from ringfence.engine.languages.nodejs import NodeLanguage

            return NodeLanguage()
        case "go":
            from ringfence.engine.languages.go import GoLanguage

            return GoLanguage()
        case "python":
            from ringfence.engine.languages.python import PythonLanguage

            return PythonLanguage()
    raise ValueError(f"no programs of runtime {runtime!r} can be run")


class _Run:
    def __init__(self, program: RemoteProgram, provider: Provider, meanwhile: Callable[[], None] | None) -> None:
        self.program = program
        self.meanwhile = meanwhile
        self.language = _language(program.runtime)
        self.callbacks = CallbackClients()
        self.monitor = Monitor(
            project=program.project,
            stack=program.stack,
            organization=program.organization,
            provider=provider,
            config=program.config,
            secret_keys=program.secret_keys,
            stack_references=program.stack_references,
            working_directory=program.folder,
            call_back=self.callbacks.call_back,
        )
        self.server = MonitorServer(self.monitor, self.language.is_user_file)
        # Nothing is left to call back then, and a connection whose server goes away is a fault to gRPC.
        self.server.on_signal = self.callbacks.close
        self.plugins = Plugins(self.server, program, self.language)
        self.monitor.take_part = self.plugins.take_part
        self.server.call = self.plugins.call
        self.error: ProgramError | None = None
        self.printed = ""

    async def evaluate(self) -> Deployment:
        for note in self.program.notes:
            self.monitor.note(note)
        scratch = Path(tempfile.mkdtemp(prefix="ringfence-"))
        try:
            # On this thread: what compiles blocks, and nothing else is under way.
            self.language.prepare(self.program, scratch)
            await self._run(scratch)
        except LaunchError as error:
            self.error = ProgramError(str(error), error.source, error.details)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if self.server.faults:
            raise self.server.faults[0]
        return self._deployment()

    async def _run(self, scratch: Path) -> None:
        address = await self.server.start()
        record = scratch / "record"
        try:
            launch = self.language.launch(self.program, address, record)
            try:
                group = ProcessGroup.start(launch.command, self.program.folder, launch.environment)
            except OSError as error:
                raise LaunchError(f"{launch.command[0]}: cannot be run: {error.strerror}") from None
            try:
                if self.meanwhile is not None:
                    self.meanwhile()
                await self._wait(group, launch.standard_input, record)
            finally:
                group.end()
                self.printed = group.output()
                group.close()
        finally:
            await self.plugins.close()
            await self.callbacks.close()
            await self.server.stop()

    async def _wait(self, group: ProcessGroup, said: str, record: Path) -> None:
        limit = self.program.time_limit
        try:
            async with asyncio.timeout(limit):
                await group.say(said)
                code = await self._ended(group, record)
        except TimeoutError:
            source = await self._where_it_hangs(group)
            message = f"The program did not end within {limit:g} s."
            if source is None:
                message += self._last_seen()
            self.error = ProgramError(
                f"{message} It hangs in a loop or waits for something that never comes.", source, plain(group.output())
            )
            return
        logged = tuple(item.message for item in self.monitor.diagnostics if item.severity == "error")
        if code or logged:
            self.error = self.language.explain(self.program, Ended(code, group.output(), logged, record))
            if self.server.refusals:
                refusal = self.server.refusals[0]
                self.error = ProgramError(str(refusal), refusal.source or self.error.source, self.error.details)
        elif self.server.asked_info and not self.server.signalled:
            self.error = ProgramError("The program ended its process before it was done.", None, plain(group.output()))

    async def _ended(self, group: ProcessGroup, record: Path) -> int:
        """Wait for a program's end and return its exit code.

        Some versions of Node do not end after an error that nothing handles: such a program is over all the same.
        """
        ended = asyncio.ensure_future(group.wait())
        try:
            while not record.exists():
                done, _ = await asyncio.wait({ended}, timeout=_GLANCE_SECONDS)
                if done:
                    return ended.result()
            await asyncio.wait({ended}, timeout=_LAST_SECONDS)
            return ended.result() if ended.done() else 1
        finally:
            ended.cancel()

    async def _where_it_hangs(self, group: ProcessGroup) -> SourceLine | None:
        """Ask a program where it is, in the way of its runtime, and return the user's line."""
        before = seen = len(group.output())
        group.signal(self.language.hang_signal)
        # Go ends after its dump; Python goes on, and has dumped when it writes no more.
        for _ in range(int(_DUMP_SECONDS / _GLANCE_SECONDS)):
            try:
                await asyncio.wait_for(group.wait(), _GLANCE_SECONDS)
                break
            except TimeoutError:
                size = len(group.output())
                if before < size == seen:
                    break
                seen = size
        return self.language.line_of_dump(group.output()[before:])

    def _last_seen(self) -> str:
        """Say how far a program came, where nothing tells the line that it is at."""
        made = (item for item in reversed(self.monitor.resources.values()) if item.type != STACK_TYPE)
        last = next((item for item in made if not item.default_provider), None)
        if last is None:
            return " It had not registered a resource."
        where = f", at {_short(last.source, self.program)}" if last.source is not None else ""
        return f" The last resource that it registered is {last.name!r}{where}."

    # --- the result ----------------------------------------------------------------------------------------------

    def _deployment(self) -> Deployment:
        monitor = self.monitor
        resources = monitor.ordered_resources()
        hide = self._hider()
        error = self.error
        diagnostics = [
            Diagnostic(item.severity, hide(plain(item.message)), item.urn)
            for item in monitor.diagnostics
            # The SDK logs what ends the program; it is the error already.
            if item.severity != "error" or error is None or error.message.startswith(LOGGED)
        ]
        return Deployment(
            project=self.program.project,
            stack=self.program.stack,
            path=self.program.root_folder,
            resources=resources,
            outputs=monitor.stack_outputs,
            diagnostics=tuple(diagnostics),
            problems=tuple(monitor.problems),
            printed=hide(self.printed),
            error=error and replace(error, message=hide(error.message), details=hide(error.details)),
        )

    def _hider(self) -> Callable[[str], str]:
        """Return what takes the plain values of config secrets out of the program's texts."""
        values = {self.program.config[key] for key in self.program.secret_keys if key in self.program.config}
        hidden = sorted((value for value in values if len(value) >= _SHORTEST_HIDDEN), key=len, reverse=True)

        def hide(text: str) -> str:
            for value in hidden:
                text = text.replace(value, "[secret]")
            return text

        return hide


def _short(source: SourceLine, program: RemoteProgram) -> str:
    path = Path(source.path)
    root = program.root_folder
    return f"{path.relative_to(root) if path.is_relative_to(root) else path}:{source.line}"
