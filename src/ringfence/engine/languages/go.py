"""Programs in Go: built, then run with the monitor's address in the environment.

The environment is that of pulumi-language-go, see sdk/go/pulumi-language-go/main.go of pulumi/pulumi.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ringfence.deployment import ProgramError, SourceLine
from ringfence.engine.languages.interface import (
    LOGGED,
    Ended,
    Launch,
    LaunchError,
    RemoteProgram,
    is_generated_sdk,
    plain,
)
from ringfence.engine.process_group import run_to_end

__all__ = ["GoLanguage"]

_BUILD_SECONDS = 900.0
"""The longest that a build may take. The first one compiles the SDKs, of which some are very large."""
_COMPILER = re.compile(
    r"^(?:vet: )?(?P<path>[^\s:][^:\n]*\.go):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<text>.+)$", re.M
)
_MODULE = re.compile(
    r"^(?P<path>[^\s:][^:\n]*(?:\.go|go\.mod)):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<text>.+)$", re.M
)
_FRAME = re.compile(r"^\t(?P<path>/[^\n]+\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+.*)?$", re.MULTILINE)
_RUN = re.compile(r"\bpulumi\.Run(?:Err)?\(")
_FAILED = re.compile(r"(?:an unhandled error occurred: )?program failed:\s*")
_NUMBERED = re.compile(r"^(?:\d+ errors? occurred:\s*)?\*?\s*", re.DOTALL)


class GoLanguage:
    """Runtime `go`."""

    hang_signal = signal.SIGQUIT

    def __init__(self) -> None:
        self._binary = ""

    def prepare(self, program: RemoteProgram, scratch: Path) -> None:
        """Build the program, unless the project names a binary of its own."""
        given = program.options.get("binary")
        if isinstance(given, str) and given:
            found = shutil.which(str(program.folder / given)) or shutil.which(given)
            if found is None:
                raise LaunchError(f"{program.root_folder}: runtime.options.binary: there is no executable {given!r}")
            self._binary = found
            return
        compiler = shutil.which("go")
        if compiler is None:
            raise LaunchError(
                "go: there is no such command on PATH, which programs of runtime go need: install Go from https://go.dev/dl"
            )
        if not any(program.folder.glob("*.go")):
            raise LaunchError(
                f"{program.folder}: there is no Go file in this folder; expected a program of package main"
            )
        self._binary = str(scratch / "program")
        # No -trimpath: source positions are paths.
        command = [compiler, "build", "-buildvcs=false", "-o", self._binary]
        try:
            code, output = run_to_end(command, program.folder, {}, _BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            raise LaunchError(f"go build did not end within {_BUILD_SECONDS:g} s.") from None
        if code:
            raise _not_compiled(program, plain(output))
        if not Path(self._binary).is_file():
            raise LaunchError(f"{program.folder}: the package is no program; expected package main")

    def launch(self, program: RemoteProgram, address: str, record: Path) -> Launch:
        """Return the binary and its environment."""
        return Launch(
            [self._binary],
            {
                "PULUMI_ORGANIZATION": program.organization,
                "PULUMI_PROJECT": program.project,
                "PULUMI_ROOT_DIRECTORY": str(program.root_folder),
                "PULUMI_STACK": program.stack,
                "PULUMI_CONFIG": json.dumps(dict(program.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(program.secret_keys)),
                "PULUMI_DRY_RUN": "true",
                "PULUMI_PARALLEL": "16",
                "PULUMI_MONITOR": address,
                "PULUMI_ENGINE": address,
                # A program that hangs is asked for its stacks before it is ended.
                "GOTRACEBACK": "all",
            },
        )

    def dynamic_provider(self, program: RemoteProgram, address: str) -> Launch | None:
        """Return None: the Go SDK has no dynamic providers."""
        return None

    def is_user_file(self, path: str) -> bool:
        """Whether a file is the program's own."""
        return _is_user_file(path)

    def line_of_dump(self, output: str) -> SourceLine | None:
        """Return the user's first line in the stacks of all goroutines."""
        return next(_user_frames(output), None)

    def explain(self, program: RemoteProgram, ended: Ended) -> ProgramError:
        """Return the panic, the error that the program returned, or how its process ended."""
        output = plain(ended.output)
        details = "\n".join([*map(plain, ended.logged), output])
        panic = re.search(r"^(?:panic|fatal error): (?P<text>.*)$", output, re.MULTILINE)
        if panic is not None:
            text = re.sub(r" \[recovered\]$", "", panic["text"])
            return ProgramError(f"panic: {text}", next(_user_frames(output[panic.start() :]), None), details)
        returned = next(filter(None, map(_FAILED.search, [*map(plain, ended.logged), output])), None)
        if returned is not None:
            text = _NUMBERED.sub("", returned.string[returned.end() :].strip(), count=1)
            lines = [line for line in text.splitlines() if line.strip() and not line.startswith("exit status")]
            return ProgramError("\n".join(lines[:5]).strip(), _line_of_run(program.folder), details)
        if ended.logged:
            return ProgramError(f"{LOGGED}{plain(ended.logged[0])}", _line_of_run(program.folder), details)
        return ProgramError(ended.sentence, _line_of_run(program.folder), details)


def _not_compiled(program: RemoteProgram, output: str) -> LaunchError:
    found = _COMPILER.search(output) or _MODULE.search(output)
    if found is None:
        said = next((line for line in output.splitlines() if line.strip() and not line.startswith("#")), "")
        return LaunchError(f"go build failed: {said.strip()}", details=output)
    path = str((program.folder / found["path"]).resolve())
    if not _is_user_file(path):
        # What is wrong is what is installed; Go says what to do in the next line.
        following = output[found.end() :].lstrip("\n").partition("\n")[0].strip()
        return LaunchError(f"go build failed: {found['text']} {following}".rstrip(), details=output)
    more = len(_COMPILER.findall(output)) - 1
    source = SourceLine(path, int(found["line"]), int(found["column"]) if found["column"] else None)
    text = f"The program does not compile: {found['text']}" + (f" (and {more} more)" if more > 0 else "")
    return LaunchError(text, source, output)


def _user_frames(text: str) -> Iterator[SourceLine]:
    for frame in _FRAME.finditer(text):
        if _is_user_file(frame["path"]):
            yield SourceLine(frame["path"], int(frame["line"]))


@lru_cache(maxsize=8192)
def _is_user_file(path: str) -> bool:
    if not path.startswith("/") or "/pkg/mod/" in path or "/vendor/" in path:
        return False
    if (Path(path).parent / "pulumi-plugin.json").is_file() or is_generated_sdk(Path(path), "pulumi-plugin.json"):
        return False
    # The standard library lies below GOROOT, beside its own VERSION file.
    head, mark, _ = path.rpartition("/src/")
    return not (mark and any((place / "VERSION").is_file() for place in (Path(head), *list(Path(head).parents)[:3])))


def _line_of_run(folder: Path) -> SourceLine | None:
    """Return where the program hands itself to the SDK: errors that it returns come out there."""
    for path in sorted(folder.glob("*.go")):
        if path.name.endswith("_test.go"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if _RUN.search(line):
                return SourceLine(str(path), number)
    return None
