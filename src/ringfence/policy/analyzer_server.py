"""The process that serves a policy pack to the engine.

The engine starts `python -u -m pulumi.policy <engine address> <pack folder>` in the pack's folder; that runs the
folder's `__main__.py`, which has to print a port and serve the analyzer there until the engine ends the process. For a
pack of rules:

    from ringfence.policy.analyzer_server import serve
    from my_rules import PACK

    serve(PACK)

A pack of ordinary policies changes one import, `from pulumi_policy import PolicyPack`, to this module's.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from pulumi.runtime.proto import analyzer_pb2_grpc

from ringfence.policy.analyzer import AnalyzerService, Answers
from ringfence.policy.pack import Pack

__all__ = ["PolicyPack", "serve", "start"]

_MESSAGE_SIZE = 400 * 1024 * 1024
"""The size of a message in bytes that the SDK's own server takes."""
_THREADS = 4
"""Requests at a time, as in the SDK's own server."""
_LOOK = 1.0
"""Seconds between two looks at whether whoever started this process still lives."""


def serve(pack: Pack, *, url: str = "") -> None:
    """Serve a pack of rules. Ends the process when the engine has gone.

    `url` is the address of a rule's documentation, with `{code}` and `{name}` in it. Where a `PolicyPack(...)` would
    be captured instead of served (`ringfence check --policy-pack`), so is this.
    """
    if _captured():
        import pulumi_policy

        from ringfence.policy.crossguard_export import to_policies

        pulumi_policy.PolicyPack(name=pack.name, policies=to_policies(pack, url=url))
        return
    from ringfence.policy.analyzer_rules import RuleAnalyzer

    _serve(RuleAnalyzer(pack, url=url))


class PolicyPack:
    """Serves a pack of ordinary policies, with the arguments of `pulumi_policy.PolicyPack`. Never returns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        import pulumi_policy

        from ringfence.policy._pulumi_policy import capture
        from ringfence.policy.analyzer_policies import PolicyAnalyzer

        if _captured():
            pulumi_policy.PolicyPack(*args, **kwargs)
            return
        with capture() as captured:
            pulumi_policy.PolicyPack(*args, **kwargs)
        _serve(PolicyAnalyzer(captured[0]))


def _captured() -> bool:
    # Who captures has imported the adapter; a pack's own process need not, and is up sooner without.
    adapter = sys.modules.get("ringfence.policy._pulumi_policy")
    return adapter is not None and bool(adapter.capturing())


def start(answers: Answers) -> tuple[grpc.Server, int]:
    """Start serving on a loopback port that is free, and return the server and the port."""
    server = grpc.server(
        ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="analyzer"),
        options=[("grpc.max_receive_message_length", _MESSAGE_SIZE), ("grpc.max_send_message_length", _MESSAGE_SIZE)],
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(AnalyzerService(answers), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def _serve(answers: Answers) -> NoReturn:
    parent = os.getppid()
    server, port = start(answers)
    sys.stdout.buffer.write(f"{port}\n".encode())
    sys.stdout.flush()
    # What the imports have left stays to the end: the garbage collector need not look through it for each request.
    gc.freeze()
    try:
        # The engine kills this process when it is done. An engine that was killed itself cannot.
        forever = threading.Event()
        while os.getppid() == parent:
            forever.wait(_LOOK)
    except KeyboardInterrupt:
        pass
    server.stop(None)
    sys.stderr.flush()
    # The interpreter would wait for the threads, and a policy may never return.
    os._exit(0)
