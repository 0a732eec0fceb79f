"""Break the reference stacks one property at a time: `python -m mutate [STACK…] [--write | --check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mutate.report import document, scores, unexplained
from mutate.run import explanations, judge_stack, stacks

PAGE = Path(__file__).parent.parent / "docs" / "mutation.md"


def main() -> int:
    """Run, print scores and survivors; 1 if a survivor has no explanation, or the page is out of date."""
    parser = argparse.ArgumentParser(prog="python -m mutate", description=__doc__)
    parser.add_argument("stacks", nargs="*", metavar="STACK", help="folders below stacks/; all five by default")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--check", action="store_true", help=f"fail if {PAGE.name} is out of date")
    options = parser.parse_args()
    if options.stacks and (options.write or options.check):
        parser.error("the page is about all five stacks")
    known = explanations()
    by_stack = {}
    for deployment in stacks(options.stacks):
        judged = by_stack[deployment.path.name] = list(judge_stack(deployment))
        guarded, security, other = scores(judged)
        print(f"{deployment.path.name}: guarded {guarded}, all of security {security}, bounds and delivery {other}")
        for item in judged:
            if not item.by:
                mark = "guarded" if item.guarded else "       "
                print(
                    f"  survivor {mark} {item.mutant.concern:10} {item.mutant.type} {item.mutant.name}: "
                    f"{item.mutant.change}"
                )
    every = [item for judged in by_stack.values() for item in judged]
    guarded, security, other = scores(every)
    print(f"Together: guarded {guarded}, all of security {security}, bounds and delivery {other}")
    strays = unexplained(every, known)
    for item in strays:
        print(f"not explained: {item.stack}: {item.mutant.type}: {item.mutant.change}", file=sys.stderr)
    page = document(by_stack, known)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    elif options.check and PAGE.read_text(encoding="utf-8") != page:
        print(f"{PAGE}: out of date; `python -m mutate --write` writes it anew", file=sys.stderr)
        return 1
    return 1 if strays else 0


if __name__ == "__main__":
    sys.exit(main())
