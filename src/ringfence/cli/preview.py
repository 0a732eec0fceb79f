"""`ringfence preview`: show what a program would deploy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ringfence.cli import shared

__all__ = ["add"]

DESCRIPTION = """\
Evaluate a Pulumi project and show its resources. Nothing is deployed and nothing is judged.

  ringfence preview infra --stack prod
  ringfence preview infra --outputs unknown --format json"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "preview",
        help="show what a program would deploy",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "project", nargs="?", type=Path, default=Path(), metavar="PROJECT", help="a folder with a Pulumi.yaml"
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
    group = parser.add_argument_group("how to report")
    group.add_argument("--format", choices=("terminal", "json"), default="terminal", help="default: terminal")
    group.add_argument(
        "--output", type=Path, metavar="FILE", help="write the report to FILE (default: standard output)"
    )
    group.add_argument("--debug", action="store_true", help="show tracebacks and what the program prints")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    shared.collect_seldom()
    shared.check_output(options.output)
    config = shared.config_values(options.config)
    from ringfence.check import CheckOptions, check, find_targets
    from ringfence.reports import reporter
    from ringfence.reports.interface import Run

    check_options = CheckOptions(
        config=config,
        outputs=options.outputs,
        time_limit=options.time_limit,
        recover=options.recover,
        judge=False,
    )
    targets = find_targets([options.project], options.stack)
    source = shared.source_of(options.engine, isolate=options.isolate, type_check=options.type_check)
    results = shared.follow(check(targets, check_options, source))
    color = options.output is None and shared.use_color(sys.stdout)
    shared.show_details(results, options.debug)
    report = Run(results=results, base=Path.cwd(), with_findings=False)
    shared.write(reporter(options.format, width=shared.terminal_width(), color=color).render(report), options.output)
    return shared.exit_code(results, blocked=False)
