"""The reference stacks under ringfence and under Pulumi's own mocks, in turns."""

from __future__ import annotations

import asyncio
import gc
import json
import runpy
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, settings

from ringfence.policy.evaluate import evaluate
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from ringfence_policies import PACK

__all__ = ["stacks"]

FOLDER = Path(__file__).parent.parent / "stacks"
ACTIVE = PACK.activate()


class Answers(mocks.Mocks):
    """The echo of Pulumi's documentation, with what the SDK insists on."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Echo. Azure takes a list of identities and answers with a map, which the SDK reads as one."""
        outputs = dict(args.inputs)
        identity = outputs.get("identity")
        if isinstance(identity, dict) and isinstance(identity.get("userAssignedIdentities"), list):
            outputs["identity"] = identity | {"userAssignedIdentities": {}}
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:  # type: ignore[override]
        """Answer nothing."""
        return {}


def _stock(folder: Path, environment: str) -> float:
    """Return the seconds that a stack takes under Pulumi's mocks, with nothing judged."""
    config = yaml.safe_load((folder / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8"))["config"]
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    path, known = list(sys.path), set(sys.modules)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    settings.reset_options(project=folder.name, stack=environment)
    mocks.set_mocks(Answers(), project=folder.name, stack=environment, preview=False)
    pulumi.runtime.set_all_config(text)
    sys.path.insert(0, str(folder))
    gc.collect()
    start = time.perf_counter()
    try:
        pulumi.runtime.test(lambda: runpy.run_path(str(folder / "__main__.py"), run_name="__main__"))()
        return time.perf_counter() - start
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        sys.path[:] = path
        for name in set(sys.modules) - known:  # the next stack has modules of the same names
            if FOLDER in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
                del sys.modules[name]


def _ours(folder: Path, environment: str) -> float:
    """Return the seconds that a stack takes to be read, evaluated, checked and judged by all rules."""
    gc.collect()
    start = time.perf_counter()
    deployment = EmbeddedSource().evaluate(Request(folder, environment))
    evaluate(deployment.resources, ACTIVE)
    seconds = time.perf_counter() - start
    if not deployment.ok:
        raise SystemExit(f"{folder}: the program failed: {deployment.error}")
    return seconds


def stacks(rounds: int) -> None:
    """Print each stack and environment's time, ours and the mocks', and their ratio."""
    for folder in sorted(path.parent for path in FOLDER.glob("*/Pulumi.yaml")):
        for environment in ("dev", "prod"):
            # Each turn begins with a run that does not count: what is compared is warm.
            pairs = [
                tuple([contender(folder, environment) for _ in range(2)][-1] for contender in (_stock, _ours))
                for _ in range(rounds)
            ]
            theirs, mine = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(
                f"{folder.name} {environment}: mocks {theirs:.1f} ms, ringfence with all rules {mine:.1f} ms: "
                f"{ratio:.1f} times faster"
            )
