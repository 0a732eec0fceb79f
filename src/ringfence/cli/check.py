"""`ringfence check`: evaluate, judge, report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ringfence.cli import shared

__all__ = ["add"]

DESCRIPTION = """\
Evaluate Pulumi projects and judge them by a policy pack. Nothing is deployed; no cloud, login, CLI or plugin is needed.

  ringfence check                                every project below this folder, every stack with a config file
  ringfence check infra --stack prod             one project, one stack
  ringfence check --format sarif --output r.sarif   for code scanning
  ringfence check --policy-pack ../guardrails    judge by another CrossGuard pack (name `ringfence` to keep ours too)"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="evaluate and judge projects",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "projects",
        nargs="*",
        type=Path,
        metavar="PROJECT",
        help="a folder with a Pulumi.yaml, or one to search for such folders (default: the current folder)",
    )
    parser.add_argument(
        "--stack",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="stacks to evaluate (default: each that has a Pulumi.<stack>.yaml; `dev` where there is none)",
    )
    shared.add_config_options(parser)
    group = parser.add_argument_group("what to judge by")
    group.add_argument(
        "--policy-pack",
        action="append",
        default=[],
        metavar="DIR",
        help="a CrossGuard pack (Python, TypeScript, JavaScript, OPA) to judge by instead of the built-in one; may be "
        "repeated; `ringfence` names the built-in one",
    )
    group.add_argument(
        "--policy-pack-config",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="levels and parameters of a pack (JSON or YAML), in the order of the packs",
    )
    group.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="NAME",
        help="turn on a set of optional rules; may be repeated",
    )
    group.add_argument(
        "--select", action="append", default=[], metavar="CODES", help="judge by these rules only: ST02,WA"
    )
    group.add_argument("--ignore", action="append", default=[], metavar="CODES", help="leave these rules out")
    group.add_argument("--strict-unknowns", action="store_true", help="an undecided mandatory rule fails the run, too")
    group = parser.add_argument_group("how to report")
    group.add_argument("--format", choices=("terminal", "json", "sarif"), default="terminal", help="default: terminal")
    group.add_argument(
        "--output", type=Path, metavar="FILE", help="write the report to FILE (default: standard output)"
    )
    group.add_argument("--all-verdicts", action="store_true", help="show passes and rules that do not apply, too")
    group.add_argument("--exit-zero", action="store_true", help="exit 0 even where a mandatory rule fails")
    group.add_argument("--debug", action="store_true", help="show tracebacks and what the programs print")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    shared.collect_seldom()
    shared.check_output(options.output)
    shared.check_stacks(options.projects, options.stack)
    config = shared.config_values(options.config)
    from ringfence.check import CheckOptions, blocks, check, find_targets, judging_rules
    from ringfence.reports import reporter
    from ringfence.reports.interface import Run

    check_options = CheckOptions(
        config=config,
        policy_packs=tuple(options.policy_pack),
        pack_configs=tuple(options.policy_pack_config),
        profiles=tuple(options.profile),
        select=_codes(options.select),
        ignore=_codes(options.ignore),
        outputs=options.outputs,
        time_limit=options.time_limit,
        recover=options.recover,
        isolate=options.isolate,
        type_check=options.type_check,
    )
    targets = find_targets(options.projects, options.stack)
    source = shared.source_of(options.engine, isolate=options.isolate, type_check=options.type_check)
    try:
        results = shared.follow(check(targets, check_options, source))
    finally:
        _end_packs()
    report = Run(
        results=results,
        base=Path.cwd(),
        rules=judging_rules(check_options),
        all_verdicts=options.all_verdicts,
        strict_unknowns=options.strict_unknowns,
    )
    color = options.output is None and shared.use_color(sys.stdout)
    shared.show_details(results, options.debug)
    shared.write(reporter(options.format, width=shared.terminal_width(), color=color).render(report), options.output)
    blocked = blocks(results, strict_unknowns=options.strict_unknowns)
    return shared.exit_code(results, blocked=blocked, exit_zero=options.exit_zero)


def _end_packs() -> None:
    """End the processes of policy packs, which are kept for the next run in this process."""
    if (module := sys.modules.get("ringfence.packs.running")) is not None:
        module.close_all()


def _codes(values: list[str]) -> tuple[str, ...]:
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())
