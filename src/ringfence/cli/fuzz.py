"""`ringfence fuzz`: search the configs of a project for one that fails."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import runpy
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.cli import shared

if TYPE_CHECKING:
    from ringfence.fuzz import Failure, FuzzOptions, FuzzTarget

__all__ = ["add"]

DESCRIPTION = """\
Search the configs of a project for one under which its program breaks or a mandatory rule fails; print the smallest.

  ringfence fuzz infra
  ringfence fuzz infra --examples 1000 --seed 42

What is varied is the pydantic model that the program reads its config with, else what Pulumi.yaml declares, as for
programs in other languages. The project need not know of ringfence."""


_EXAMPLES = 200
_EXAMPLES_OUTSIDE = 40
_SHRINKING_OUTSIDE = 12
"""For programs that run in processes of their own, which take a second to start."""


class FuzzOptionError(ValueError):
    """An option of the command is wrong, or something that it needs is not installed."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fuzz",
        help="search for a config that fails",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "project", nargs="?", type=Path, default=Path(), metavar="PROJECT", help="a folder with a Pulumi.yaml"
    )
    group = parser.add_argument_group("how to search")
    group.add_argument(
        "--stack",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="stacks whose config to set out from (default: each that has a Pulumi.<stack>.yaml)",
    )
    group.add_argument(
        "--examples",
        type=_positive,
        metavar="N",
        help=f"configs to try (default: {_EXAMPLES}; {_EXAMPLES_OUTSIDE} where each is a process of its own, as for "
        "TypeScript)",
    )
    group.add_argument("--seed", metavar="SEED", help="search again as a run did that printed this seed")
    group.add_argument(
        "--jobs", type=_positive, default=min(2, os.cpu_count() or 1), metavar="N", help="1 for a single process"
    )
    group.add_argument(
        "--replay", metavar="CONFIG", help="try this one config: a YAML file, or a JSON object of keys and values"
    )
    group.add_argument(
        "--strategies", type=Path, metavar="FILE", help="a Python file to run first, that registers strategies"
    )
    group.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS", help="how long a program may run")
    group = parser.add_argument_group("how to judge")
    group.add_argument("--policy-pack", action="append", default=[], metavar="DIR", help="as for `ringfence check`")
    group.add_argument("--profile", action="append", default=[], metavar="NAME", help="turn on a set of optional rules")
    group.add_argument("--select", action="append", default=[], metavar="CODES", help="judge by these rules only")
    group.add_argument("--ignore", action="append", default=[], metavar="CODES", help="leave these rules out")
    group = parser.add_argument_group("how to report")
    group.add_argument("--format", choices=("terminal", "json"), default="terminal", help="default: terminal")
    group.add_argument("--output", type=Path, metavar="FILE", help="write the report to FILE")
    group.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1000000, found {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    shared.collect_seldom()
    shared.check_output(options.output)
    if importlib.util.find_spec("hypothesis") is None:
        raise FuzzOptionError("ringfence fuzz needs Hypothesis: pip install 'ringfence[testing]'")
    from ringfence.check import CheckOptions
    from ringfence.fuzz import FuzzOptions, find_target, replay, source_for

    if options.strategies is not None:
        if not options.strategies.is_file():
            raise FuzzOptionError(f"--strategies {options.strategies}: there is no such file")
        runpy.run_path(str(options.strategies))
    source = source_for(options.project)
    target = find_target(options.project, options.stack, source)
    outside = source.runs_outside(target.project)
    fuzz_options = FuzzOptions(
        examples=options.examples or (_EXAMPLES_OUTSIDE if outside else _EXAMPLES),
        seed=_seed(options.seed, target),
        jobs=options.jobs,
        shrinking=_SHRINKING_OUTSIDE if outside else FuzzOptions.shrinking,
        check=CheckOptions(
            policy_packs=tuple(options.policy_pack),
            profiles=tuple(options.profile),
            select=_codes(options.select),
            ignore=_codes(options.ignore),
            time_limit=options.time_limit,
        ),
    )
    if options.replay is not None:
        config, stack = _config(options.replay), options.stack[0] if options.stack else target.bases[0].stack
        outcome = _Outcome(1, replay(target, config, stack, fuzz_options, source), "replayed")
        outcome.documents = [config] * len(outcome.failures)
    else:
        if outside:
            print(
                f"{fuzz_options.examples} configs are tried (--examples), each by a process of its own: about a second "
                "for each. Ctrl+C shows what was found so far.",
                file=sys.stderr,
                flush=True,
            )
        outcome = _search(target, fuzz_options, source)
        outcome.documents = [target.document(target.space.simplest(item.config)) for item in outcome.failures]
    write = _as_json if options.format == "json" else _as_text
    shared.write(write(options, target, fuzz_options, outcome), options.output)
    if outcome.status == "interrupted":
        return 130
    return 1 if outcome.failures else 0


class _Outcome:
    def __init__(self, tried: int, failures: list[Failure], status: str) -> None:
        self.tried, self.failures, self.status = tried, failures, status
        self.documents: list[Mapping[str, Any]] = []


def _search(target: FuzzTarget, options: FuzzOptions, source: Any) -> _Outcome:
    """Search, with progress on standard error; what was found by then if the user interrupts."""
    from ringfence.fuzz import Found, Searched, Tried, search

    found: dict[tuple[str, str, str], Failure] = {}
    tried, status, shown = 0, "interrupted", 0
    moving = sys.stderr.isatty()
    try:
        for event in search(target, options, source):
            match event:
                case Found(failure):
                    found[failure.key] = failure
                case Tried(count, shrinking):
                    tried = count
                    step = options.examples // 10 or 1
                    if moving or (count // step > shown and not shrinking):
                        shown = count // step
                        _show(count, options.examples, len(found), shrinking, moving)
                case Searched(count):
                    tried, status = count, "failed" if found else "ok"
    except KeyboardInterrupt:
        pass
    finally:
        if moving:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
    return _Outcome(tried, list(found.values()), status)


def _show(tried: int, of: int, failures: int, shrinking: bool, moving: bool) -> None:
    what = "making the config smaller" if shrinking else f"{tried}/{of} configs"
    line = f"{what}, {failures} failure{'' if failures == 1 else 's'}"
    print(f"\r\x1b[2K{line}" if moving else line, end="" if moving else "\n", file=sys.stderr, flush=True)


def _seed(text: str | None, target: FuzzTarget) -> int:
    if text is None:
        return random.SystemRandom().randrange(10**6)
    number, _, mark = text.partition("-")
    if not number.isdecimal():
        raise FuzzOptionError(f"--seed {text}: expected a number, or a seed that a run printed, such as 42-1a2b3c4d")
    if mark and mark != target.fingerprint:
        raise FuzzOptionError(
            f"--seed {text}: does not replay: the config model, a stack's config or ringfence is another one now (this "
            f"would be {number}-{target.fingerprint}); replay the config that was found with --replay instead"
        )
    return int(number)


def _config(text: str) -> Mapping[str, Any]:
    """Return the config to replay."""
    from ringfence.sources.pulumi_yaml import load_yaml

    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
        except ValueError as error:
            raise FuzzOptionError(f"--replay: is no valid JSON: {error}") from None
    else:
        data = load_yaml(Path(text))
    config = data.get("config", data) if isinstance(data, Mapping) else None
    if not isinstance(config, Mapping):
        raise FuzzOptionError("--replay: expected an object of config keys and values")
    return config


def _codes(values: list[str]) -> tuple[str, ...]:
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())


# --- the report ------------------------------------------------------------------------------------------------------


def _command(options: argparse.Namespace, failure: Failure, document: Mapping[str, Any]) -> str:
    config = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    words = ["ringfence", "fuzz", str(options.project), "--stack", failure.stack, "--replay", config]
    for option in ("policy_pack", "profile", "select", "ignore"):
        for value in getattr(options, option):
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)


def _as_text(options: argparse.Namespace, target: FuzzTarget, fuzz: FuzzOptions, outcome: _Outcome) -> str:
    import yaml

    from ringfence.reports.text import place, visible

    lines = []
    for failure, document in zip(outcome.failures, outcome.documents, strict=True):
        where = place(failure.source, Path.cwd())
        head = " ".join(part for part in (failure.code, failure.resource) if part) or failure.kind.replace("-", " ")
        lines += [f"{where + ': ' if where else ''}{visible(head)}", f"  {visible(failure.message)}"]
        if failure.remedy:
            lines.append(f"  {visible(failure.remedy)}")
        if not failure.reproducible:
            lines.append("  Not each time: under this config the program does not always do the same.")
        lines += ["", f"  The smallest config that was found, of stack {failure.stack}:"]
        lines += [f"    {line}" for line in _yaml(yaml, document).splitlines()]
        lines += [f"    # {key}: a secret of the stack, as it is" for key in sorted(target.secrets)]
        lines += ["", "  Replay it:", f"    {_command(options, failure, document)}", ""]
    if outcome.status == "replayed":
        lines.append("The config fails." if outcome.failures else "The config does not fail (any more).")
        return "\n".join(lines) + "\n"
    count = len(outcome.failures)
    seed = f"{fuzz.seed}-{target.fingerprint}"
    stopped = ", interrupted" if outcome.status == "interrupted" else ""
    lines.append(
        f"{outcome.tried} configs of {target.described}{stopped}: {count or 'no'} failure{'' if count == 1 else 's'}. "
        f"The same search again: --seed {seed} --examples {fuzz.examples}"
    )
    return "\n".join(lines) + "\n"


def _yaml(yaml: Any, document: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump({"config": dict(document)}, sort_keys=False, allow_unicode=True, width=10_000))


def _as_json(options: argparse.Namespace, target: FuzzTarget, fuzz: FuzzOptions, outcome: _Outcome) -> str:
    from ringfence.reports.text import as_json, source_json

    report = {
        "version": 1,
        "project": target.project.name,
        "status": outcome.status,
        "examples": outcome.tried,
        "seed": f"{fuzz.seed}-{target.fingerprint}",
        "model": target.described,
        "failures": [
            {
                "kind": failure.kind,
                "code": failure.code,
                "message": failure.message,
                "resource": failure.resource,
                "remedy": failure.remedy,
                "source": source_json(failure.source, Path.cwd()),
                "stack": failure.stack,
                "reproducible": failure.reproducible,
                "config": document,
                "command": _command(options, failure, document),
            }
            for failure, document in zip(outcome.failures, outcome.documents, strict=True)
        ],
    }
    return as_json(report)
