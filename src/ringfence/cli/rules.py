"""`ringfence rules`: list and explain rules."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from ringfence.cli import shared

if TYPE_CHECKING:
    from ringfence.policy.program import ProgramCheck

__all__ = ["add"]

DESCRIPTION = """\
List the rules of the built-in policy pack, or explain one: why it is there, what it reads, how to mend a failure.

  ringfence rules
  ringfence rules ST02
  ringfence rules storage-minimum-tls"""


class UnknownRuleError(ValueError):
    """No rule has that code or name."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "rules",
        help="list and explain rules",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rule", nargs="?", metavar="CODE|NAME", help="the rule to explain (default: list all)")
    parser.add_argument("--format", choices=("terminal", "json"), default="terminal", help="default: terminal")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ringfence.policy.program import PROGRAM_CHECKS
    from ringfence.reports.explain import explain_rule, list_rules, rules_json
    from ringfence_policies import PACK

    as_json = options.format == "json"
    if options.rule is None:
        text = rules_json(PACK.rules) if as_json else list_rules(PACK.rules) + _list_checks()
    elif rule := PACK.by_key.get(options.rule.upper()) or PACK.by_key.get(options.rule.lower()):
        text = rules_json([rule]) if as_json else explain_rule(rule, width=shared.terminal_width())
    else:
        wanted = options.rule.casefold()
        check = next((item for item in PROGRAM_CHECKS if wanted in (item.code.casefold(), item.name)), None)
        if check is None:
            raise UnknownRuleError(f"no rule is called {options.rule!r}; `ringfence rules` lists them")
        text = _check_json(check) if as_json else _explain_check(check)
    shared.write(text, None)
    return 0


# --- checks of the program itself, which belong to no pack -----------------------------------------------------------


def _list_checks() -> str:
    from ringfence.policy.program import PROGRAM_CHECKS

    width = max(len(check.name) for check in PROGRAM_CHECKS)
    lines = [f"{check.code}  {check.name.ljust(width)}  {check.title}" for check in PROGRAM_CHECKS]
    return "\n".join(["", "Checked in every program, whatever the pack:", *lines, ""])


def _explain_check(check: ProgramCheck) -> str:
    return (
        f"{check.code} {check.name}\n{check.title}\n"
        f"({check.level}, {check.severity} severity; checked in every program, whatever the pack)\n\n"
        f"Why\n  {check.why}\n\nFix\n  {check.remedy}\n"
    )


def _check_json(check: ProgramCheck) -> str:
    from ringfence.reports.text import as_json

    return as_json({"version": 1, "rules": [dataclasses.asdict(check)]})
