"""Measure ringfence against Pulumi's own mocks: `python -m bench`, or `nox -s bench`.

Contenders take turns in one run, so that a machine whose speed drifts is unfair to nobody; medians are compared.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, settings

from bench import analyzer, fuzz, nodejs
from bench.offline import offline
from bench.programs import eight_resources, storage_accounts
from bench.stack import stack
from ringfence.deployment import Resource
from ringfence.engine.host import Program, run_program
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import ActiveRule
from ringfence.providers.offline import OfflineProvider
from ringfence_policies import PACK

ROOT = Path(__file__).parent.parent


class Echo(mocks.Mocks):
    """The mocks of Pulumi's documentation: every resource gives its inputs back."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Echo."""
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:  # type: ignore[override]
        """Answer nothing."""
        return {}


def stock(program: Callable[[], None]) -> float:
    """Return the seconds that the program takes under Pulumi's mocks, with nothing judged."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    settings.reset_options(project="bench", stack="dev")
    mocks.set_mocks(Echo(), preview=False)
    gc.collect()  # nobody pays for the other's garbage
    start = time.perf_counter()
    pulumi.runtime.test(program)()
    seconds = time.perf_counter() - start
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return seconds


ACTIVE = PACK.activate()


def ours(program: Callable[[], None], *, judge: bool = True) -> float:
    """Return the seconds that the program takes to be evaluated, checked against the SDK and judged by all rules."""
    gc.collect()
    start = time.perf_counter()
    deployment = run_program(
        Program(folder=ROOT, project="bench", stack="dev", function=program), OfflineProvider("synthetic")
    )
    if judge:
        evaluate(deployment.resources, ACTIVE)
    seconds = time.perf_counter() - start
    if not deployment.ok:
        raise SystemExit(f"the program failed: {deployment.error}")
    return seconds


def warm(contender: Callable[[Callable[[], None]], float], program: Callable[[], None]) -> float:
    """Return the seconds of a contender's second run in a row."""
    contender(program)
    return contender(program)


def process(*command: str) -> float:
    """Return the seconds that a whole process takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ringfence.cli.main", *command], cwd=ROOT, capture_output=True, check=False)
    return time.perf_counter() - start


def compare(title: str, program: Callable[[], None], rounds: int) -> None:
    """Time both contenders in turn and print medians and their ratio."""
    # Each turn begins with a run that does not count: what is compared is warm, as in a suite of tests.
    pairs = [(warm(stock, program), warm(ours, program)) for _ in range(rounds)]
    theirs, mine = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"{title}: mocks {theirs * 1e3:.1f} ms, ringfence with all rules {mine * 1e3:.1f} ms: {ratio:.1f} times faster"
    )


def growth(small: int, large: int, rounds: int) -> None:
    """Print how the time per resource grows with the size of a program."""
    programs = storage_accounts(small), storage_accounts(large)
    each = [(ours(programs[0]) / small, ours(programs[1]) / large) for _ in range(rounds)]
    before, after = (statistics.median(side) for side in zip(*each, strict=True))
    ratio = statistics.median(b / a for a, b in each)
    print(
        f"per resource: {before * 1e3:.2f} ms at {small}, {after * 1e3:.2f} ms at {large:,}: {ratio:.2f} times as much"
    )


def judging(resources: list[Resource], active: list[ActiveRule]) -> float:
    """Return the processor seconds that the rules take, with nothing evaluated or decoded."""
    gc.collect()
    start = time.process_time()
    evaluate(resources, active)
    return time.process_time() - start


def rules(count: int) -> None:
    """Print the time per resource of all rules, and what a hundred rules more cost, for a type that is absent."""
    resources = stack(PACK.rules, count)
    absent = dataclasses.replace(ACTIVE[0], rule=dataclasses.replace(ACTIVE[0].rule, types=("bench:absent:Type",)))
    longer = [*ACTIVE, *([absent] * 100)]
    judging(resources, ACTIVE)  # warm: compiled patterns, tests that are made once
    pairs = [(judging(resources, ACTIVE), judging(resources, longer)) for _ in range(15)]
    seconds = statistics.median(all_rules for all_rules, _ in pairs)
    ratio = statistics.median(more / all_rules for all_rules, more in pairs)
    types = len({resource.type for resource in resources})
    print(
        f"{len(ACTIVE)} rules, {len(resources):,} resources of {types} types: {seconds / len(resources) * 1e6:.1f} µs "
        f"per resource; with 100 rules more, for an absent type: {ratio:.2f} times as much"
    )


def main() -> None:
    """Run all measurements."""
    print(f"{len(PACK.rules)} rules, Python {sys.version.split()[0]}")
    compare("8 azure-native resources of 8 types", eight_resources, rounds=15)
    compare("8 azure-native resources, 7 of them storage accounts", storage_accounts(7), rounds=15)
    compare("300 storage accounts", storage_accounts(300), rounds=3)
    growth(100, 2000, rounds=3)
    rules(1000)
    rules(4000)
    for command in (["--help"], ["check", "stacks"]):
        seconds = statistics.median(process(*command) for _ in range(5))
        print(f"whole process, ringfence {' '.join(command)}: {seconds:.2f} s")
    offline()
    analyzer.main()
    fuzz.fuzz()
    fuzz.memory()
    nodejs.main()


if __name__ == "__main__":
    main()
