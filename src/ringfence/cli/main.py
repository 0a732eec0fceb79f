"""`ringfence`: reads the command line and hands over to one command."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ringfence import __version__

__all__ = ["build_parser", "main", "script"]

# Each command's module has `add(subparsers)`; what a command needs beyond that it imports when it runs, since
# `ringfence --help` must not load the Pulumi SDK.
COMMANDS = ("check", "preview", "fuzz", "offline", "emulate", "rules", "pack")
_WITH_HEAD_START = ("check", "preview")

DESCRIPTION = """\
Rehearse a Pulumi program without a cloud or a login, and judge it by a policy pack.

  ringfence check                      judge every Pulumi project below this folder
  ringfence check infra --stack prod   one project, one stack
  ringfence preview infra              show what a program would deploy
  ringfence offline -- pulumi preview  the real CLI, without plugins, cloud or login
  ringfence emulate infra -- pytest    against emulators that have what a program declares
  ringfence rules ST02                 explain a rule
  ringfence pack init guardrails       a policy-pack folder for another repository"""

EPILOG = """\
exit codes: 0 nothing blocks; 1 a mandatory rule failed (with --strict-unknowns also: could not be decided);
2 the project, its config, a policy pack or the command line is wrong"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser for all commands."""
    parser = argparse.ArgumentParser(
        prog="ringfence",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ringfence {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"ringfence.cli.{name}").add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if sys.stdout is None:
        # The next file to be opened would take its place and get the report.
        print("ringfence: standard output is closed", file=sys.stderr)
        return 2
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        _give_head_start(options)
        return int(options.run(options))
    except KeyboardInterrupt:
        print("ringfence: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if getattr(options, "debug", False):
            raise
        print(f"ringfence: {_explain(error)}", file=sys.stderr)
        return 2
    finally:
        _end_head_start()


def _give_head_start(options: argparse.Namespace) -> None:
    """Start what takes the longest, the process of a program in another language, before all that a command imports."""
    projects = getattr(options, "projects", None) or [getattr(options, "project", None) or Path()]
    if options.command in _WITH_HEAD_START and options.engine == "embedded":
        from ringfence.sources.head_start import give_head_start

        give_head_start(projects[0])


def _end_head_start() -> None:
    """End a process that no run has taken: the command line was wrong, or the user interrupted."""
    if (module := sys.modules.get("ringfence.engine.process_group")) is not None:
        module.end_ahead()


def _explain(error: Exception) -> str:
    """Return a message for the user's own mistakes as it is; for ours, what to do about it."""
    if isinstance(error, ValueError | OSError) and type(error).__module__.startswith("ringfence."):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return (
        f"internal error: {type(error).__name__}: {error}\n"
        "This is a fault of ringfence itself. --debug shows where; please report it with that output."
    )


def script() -> NoReturn:
    """Run one command and end the process, even where a program left a thread behind that never ends."""
    code = main()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    script()
