"""The rules of the pack, frozen: to add, remove, rename, reorder or re-level one is a change that a reviewer sees.

`python -m tests.unit.policies.test_frozen_rules` writes the list anew.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from ringfence_policies import RULES

FROZEN = Path(__file__).with_name("frozen_rules.txt")


def listed() -> list[str]:
    """Return one line a rule, in the order of the pack."""
    return [f"{rule.code} {rule.name} {rule.level} {rule.severity}" for rule in RULES]


def test_the_rules_are_those_of_the_list() -> None:
    frozen, now = FROZEN.read_text(encoding="utf-8").splitlines(), listed()

    difference = "\n".join(difflib.unified_diff(frozen, now, FROZEN.name, "the pack", n=0, lineterm=""))
    assert frozen == now, (
        "The pack's rules are not those of the frozen list. Users exempt rules by code and name and rely on levels, so "
        f"if the change is meant, say so in CHANGELOG.md and run: python -m {__spec__.name}\n{difference}"
    )


if __name__ == "__main__":
    FROZEN.write_text("".join(f"{line}\n" for line in listed()), encoding="utf-8")
