"""A hundred configs of the largest stack with all rules, against the same property under Pulumi's own mocks."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
import runpy
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, settings

from bench.stacks import FOLDER, Answers
from ringfence.fuzz import FuzzOptions, FuzzTarget, find_target, search, source_for
from ringfence.fuzz.search import Judge, configs_of

__all__ = ["fuzz", "memory"]

LARGEST = FOLDER / "model_serving"
SMALLEST = FOLDER / "stateful_functions"
UNDER_MOCKS = 20
"""Configs that the mocks are given: they take long, and each takes about the same."""


def _under_mocks(target: FuzzTarget, config: Mapping[str, Any]) -> float:
    """Return the seconds that one config takes under the mocks, with nothing judged."""
    folder, stack = target.project.folder, target.base_of(config).stack
    path, known = list(sys.path), set(sys.modules)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    settings.reset_options(project=target.project.name, stack=stack)
    mocks.set_mocks(Answers(), project=target.project.name, stack=stack, preview=False)
    pulumi.runtime.set_all_config(target.texts(config))
    sys.path.insert(0, str(folder))
    start = time.perf_counter()
    try:
        pulumi.runtime.test(lambda: runpy.run_path(str(folder / "__main__.py"), run_name="__main__"))()
        return time.perf_counter() - start
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        sys.path[:] = path
        for name in set(sys.modules) - known:  # the program's own modules must run again
            if FOLDER in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
                del sys.modules[name]


def fuzz(rounds: int = 3, examples: int = 100) -> None:
    """Print how long a search takes, drawing of configs included, and how often that fits into the mocks' time."""
    source = source_for(LARGEST)
    target = find_target(LARGEST, [], source)
    jobs = min(2, os.cpu_count() or 1)
    drawn = list(itertools.islice(configs_of(target, FuzzOptions(examples, seed=1), 0), UNDER_MOCKS))
    _under_mocks(target, drawn[0])
    mine, work, ratios = [], [], []
    for seed in range(rounds):
        gc.collect()
        theirs = statistics.mean(_under_mocks(target, config) for config in drawn) * examples
        gc.collect()
        start, busy = time.perf_counter(), _busy()
        list(search(target, FuzzOptions(examples, seed, jobs), source))
        mine.append(time.perf_counter() - start)
        work.append(_busy() - busy)
        ratios.append(theirs / mine[-1])
    print(
        f"{examples} configs of {LARGEST.name} with all rules on {jobs} cores: {statistics.median(mine):.2f} s "
        f"({statistics.median(work):.2f} s of processor time), {statistics.median(ratios):.1f} times faster than mocks"
    )


def _busy() -> float:
    """Return the processor time of this process and of its workers that have ended, in seconds."""
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime


def memory(examples: int = 5000) -> None:
    """Print how far the memory of one process grows over thousands of configs."""
    source = source_for(SMALLEST)
    target = find_target(SMALLEST, [], source)
    options = FuzzOptions(200, seed=1)
    judge = Judge(target, options, source)
    drawn = list(configs_of(target, options, 0))
    sizes = []
    for number, config in enumerate(itertools.islice(itertools.cycle(drawn), examples)):
        judge.of(config)
        if number % (examples // 10) == examples // 10 - 1:
            gc.collect()
            sizes.append(_resident())
    print(
        f"memory over {examples:,} configs of {SMALLEST.name}: {sizes[0]:.0f} MB after {examples // 10:,}, "
        f"{sizes[-1]:.0f} MB at the end, {sizes[-1] / sizes[0]:.2f} times as much"
    )


def _resident() -> float:
    """Return the memory of this process, in MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # no Linux: the highest so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    fuzz()
    memory(*(int(count) for count in sys.argv[1:]))
