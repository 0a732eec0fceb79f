"""Options that several commands have, and how they write their reports."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringfence.reports.interface import Event, Result
    from ringfence.sources.interface import Source

__all__ = [
    "OptionError",
    "OutputError",
    "add_config_options",
    "check_output",
    "check_stacks",
    "collect_seldom",
    "config_values",
    "exit_code",
    "follow",
    "show_details",
    "source_of",
    "terminal_width",
    "use_color",
    "write",
]


class OutputError(OSError):
    """The report cannot be written where it should go."""

    def __str__(self) -> str:
        return str(self.args[0])


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about what a program runs under."""
    group = parser.add_argument_group("what the program runs under")
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a config value over those of Pulumi.<stack>.yaml; KEY with or without its namespace; may be repeated",
    )
    group.add_argument(
        "--outputs",
        choices=("synthetic", "unknown"),
        default="synthetic",
        help="synthetic (default): provider outputs as if applied, so ARNs and ids inside JSON are known; "
        "unknown: exactly what a first `pulumi preview` knows",
    )
    group.add_argument(
        "--engine",
        choices=("embedded", "pulumi"),
        default="embedded",
        help="embedded (default): in process, no CLI needed; pulumi: `pulumi preview` of the CLI on PATH, without "
        "plugins, cloud or login",
    )
    group.add_argument(
        "--time-limit", type=_seconds, default=60.0, metavar="SECONDS", help="how long a program may run (default: 60)"
    )
    group.add_argument(
        "--isolate",
        action="store_true",
        help="run Python programs in a process of their own, as those of other languages and those with a virtual "
        "environment of their own always do",
    )
    group.add_argument(
        "--type-check", action="store_true", help="check the types of a TypeScript program before it runs"
    )
    group.add_argument(
        "--no-recovery",
        action="store_false",
        dest="recover",
        help="run a program once: do not repair what it breaks off at and run it again to find the faults behind",
    )


def source_of(engine: str, *, isolate: bool = False, type_check: bool = False) -> Source:
    """Return the source that `--engine` names; the other options are about programs that run out of process."""
    if engine == "pulumi":
        from ringfence.sources.pulumi_cli import PulumiSource

        return PulumiSource()
    from ringfence.sources.project import EmbeddedSource

    return EmbeddedSource(isolate=isolate, type_check=type_check)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 86_400:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0 and below 86400, found {text!r}")
    return value


class OptionError(ValueError):
    """An option has a value that it does not take."""


def config_values(entries: Sequence[str]) -> dict[str, str]:
    """Return `--config` entries as a mapping. Raises `OptionError`."""
    values: dict[str, str] = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals or not key:
            # What stands there may be a secret's value: only a name can be repeated.
            shown = key if equals == "" and key.isidentifier() else "…"
            raise OptionError(f"--config {shown}: expected KEY=VALUE")
        values[key] = value
    return values


def check_stacks(projects: Sequence[Path], stacks: Sequence[str]) -> None:
    """Raise `OptionError` where `--stack`, which takes several names, has swallowed a project folder."""
    for name in [] if projects else stacks[1:]:
        if Path(name).is_dir():
            raise OptionError(f"--stack {' '.join(stacks)}: {name} is a folder; put projects before --stack")


def check_output(path: Path | None) -> None:
    """Raise `OutputError` if a report could not be written to `path`, before any work is done."""
    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"--output {path}: is a folder; expected a file")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"--output {path}: there is no folder {path.absolute().parent}")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"--output {path}: may not be written")
    if not os.access(path.absolute().parent, os.W_OK):
        raise OutputError(f"--output {path}: nothing may be written to {path.absolute().parent}")


def write(text: str, path: Path | None) -> None:
    """Write a report to standard output, or to `path` so that a reader sees the old file or the whole new one.

    Raises `OutputError` if that fails. A reader of standard output that goes away, as `| head` does, is no failure.
    """
    if path is None:
        _write_to_standard_output(text)
        return
    # Through links, to what they name: a link stays one.
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            # A pipe or a device, such as /dev/stdout, has no old content to keep.
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text)
    except OSError as error:
        raise OutputError(f"--output {path}: cannot be written: {error.strerror}") from None


def _replace(target: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        mode = target.stat().st_mode if target.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode & 0o777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write_to_standard_output(text: str) -> None:
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            # A locale without these characters: reports are UTF-8, whatever the terminal makes of it.
            sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except OSError as error:
        # Python flushes what is left when it ends, and would complain again.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output: cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def collect_seldom() -> None:
    """Let the garbage collector run seldom: a short run mostly imports provider SDKs, whose classes all stay."""
    gc.set_threshold(200_000, 50, 1000)


def follow(events: Iterable[Event]) -> list[Result]:
    """Return the results of a run, showing its progress on standard error meanwhile."""
    from ringfence.reports.interface import TargetJudged
    from ringfence.reports.progress import Progress

    results = []
    with Progress(Path.cwd()) as progress:
        for event in events:
            progress(event)
            if isinstance(event, TargetJudged):
                results.append(event.result)
    return results


def exit_code(results: Sequence[Result], *, blocked: bool, exit_zero: bool = False) -> int:
    """Return 2 if a project is broken, else 1 if a finding blocks, else 0."""
    if any(not result.deployment.ok for result in results):
        return 2
    return 1 if blocked and not exit_zero else 0


def show_details(results: Sequence[Result], debug: bool) -> None:
    """Print what programs wrote and their tracebacks to standard error, for `--debug`."""
    if not debug:
        return
    for result in results:
        deployment = result.deployment
        head = f"{deployment.project} ({deployment.stack})"
        if deployment.printed:
            print(f"--- {head}: printed by the program\n{deployment.printed.rstrip()}", file=sys.stderr)
        if deployment.error is not None and deployment.error.details:
            print(f"--- {head}: traceback\n{deployment.error.details.rstrip()}", file=sys.stderr)


def terminal_width() -> int:
    """Return the columns to fill: the terminal's, 80 where standard output is none."""
    return min(shutil.get_terminal_size((80, 24)).columns, 120) if sys.stdout.isatty() else 80


def use_color(stream: object, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set or the terminal is dumb."""
    environment = os.environ if environment is None else environment
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
