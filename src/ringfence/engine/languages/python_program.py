"""Runs a Python program out of process: started by the project's own interpreter, so it imports nothing of ringfence.

Usage: python_program.py ADDRESS PROJECT STACK ORGANIZATION ROOT MAIN RECORD. Config comes as PULUMI_CONFIG and
PULUMI_CONFIG_SECRET_KEYS, as for pulumi-language-python-exec. What ends the program goes to the file RECORD as JSON. It
runs on every Python that the SDK runs on.
"""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import json
import logging
import os
import pathlib
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def main(address: str, project: str, stack: str, organization: str, root: str, program: str, record: str) -> int:
    """Run the program; the exit code is that of the process."""
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        _keep(record, error)
        return 1
    if hasattr(pulumi.runtime, "set_all_config"):
        pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    else:
        for key, value in pulumi.runtime.get_config_env().items():
            pulumi.runtime.set_config(key, value)
    wanted: dict[str, Any] = {
        "monitor": address,
        "engine": address,
        "project": project,
        "stack": stack,
        "parallel": 16,
        "dry_run": True,
        "organization": organization,
        "root_directory": root,
    }
    known = inspect.signature(pulumi.runtime.Settings.__init__).parameters  # older SDKs know fewer
    pulumi.runtime.configure(pulumi.runtime.Settings(**{key: value for key, value in wanted.items() if key in known}))
    sys.argv = [program]
    sys.path[0] = str(pathlib.Path(program).parent)
    # The SDK leaves tasks unobserved when a program fails, and asyncio would complain of each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(64)
    loop.set_default_executor(executor)

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
    except BaseException as error:
        _keep(record, error)
        return 1
    finally:
        executor.shutdown(wait=False)
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _keep(record: str, error: BaseException) -> None:
    """Write an exception with the frames of its causes, outermost exception first."""
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    chain: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 20:
        frames = [[frame.filename, frame.lineno] for frame in traceback.extract_tb(current.__traceback__)]
        entry: dict[str, Any] = {"name": type(current).__name__, "message": str(current), "frames": frames}
        if isinstance(current, SyntaxError):
            entry.update({"message": current.msg, "file": current.filename, "line": current.lineno})
        if isinstance(current, SystemExit):
            entry["message"] = "" if current.code is None else repr(current.code)
        if isinstance(current, ModuleNotFoundError):
            entry["module"] = current.name
        chain.append(entry)
        current = current.__cause__
    with pathlib.Path(record).open("w", encoding="utf-8") as stream:
        json.dump({"chain": chain, "details": details}, stream)


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    # Not sys.exit: a thread of the program's that never ends must not hold the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
