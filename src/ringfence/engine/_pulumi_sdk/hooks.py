"""What is remembered of a run while the SDK is patched, and whose line did what."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import pulumi
from pulumi.runtime.proto import source_pb2

from ringfence.deployment import SourceLine
from ringfence.engine.frames import chain_of_frames, line_of_waiting, source_of_exception

__all__ = ["Hooks", "caller_line", "stack_trace", "waiting_line"]


@dataclass
class Hooks:
    """What is remembered of a run while the SDK is patched."""

    undecrypted: frozenset[str] = frozenset()
    """Full config keys whose secret value is not known."""
    constructed: dict[tuple[str, str], list[tuple[int, tuple[SourceLine, ...]]]] = field(default_factory=dict)
    """Type and name to place in the program's order and source lines of each construction."""
    texts: list[SourceLine] = field(default_factory=list)
    """Where an output was used as a string."""
    texts_before: dict[tuple[str, str], int] = field(default_factory=dict)
    """By type and name of a resource, or "" and name of an export: how many of `texts` there were before it."""
    error_line: SourceLine | None = None
    """Where the program first logged an error."""
    failures: dict[int, tuple[BaseException, SourceLine | None]] = field(default_factory=dict)
    """By identity: an exception that made an output fail, and where that output was made."""
    tracebacks: dict[int, TracebackType | None] = field(default_factory=dict)
    """By identity: how such an exception arose."""
    tracked: dict[asyncio.Future[Any], None] = field(default_factory=dict)
    """The outputs that the program's end waits for, in order. The SDK's set takes a lock and a callback for each."""
    count: int = 0

    def constructing(self, args: pulumi.ResourceTransformationArgs) -> None:
        """Note that the program constructs a resource. Registered as the first stack transformation."""
        self.count += 1
        name = getattr(args, "name", "") or ""
        lines = tuple(chain_of_frames(_caller_of_class(sys._getframe(1), args.resource)))
        self.constructed.setdefault((args.type_, name), []).append((self.count, lines))
        if self.texts:
            self.texts_before[args.type_, name] = len(self.texts)

    def failed(self, line: SourceLine | None, error: BaseException) -> None:
        """Note where an output was made that failed. The first one that an exception meets is where it arose."""
        if id(error) not in self.failures:
            # Python drops an exception's traceback when a second waiter meets it: the user's line is read at once.
            self.failures[id(error)] = (error, source_of_exception(error) or line)
            self.tracebacks[id(error)] = error.__traceback__

    def source_of_failure(self, error: BaseException) -> SourceLine | None:
        """Return the line of an exception that made an output fail, or the registration of a resource."""
        failure = self.failures.get(id(error))
        return failure[1] if failure is not None else self.first_line(_registered_in(error))

    def traceback_of(self, error: BaseException) -> TracebackType | None:
        """Return how an exception arose, also where Python has dropped that."""
        return self.tracebacks.get(id(error)) or error.__traceback__

    def first_line(self, resources: Iterable[pulumi.Resource]) -> SourceLine | None:
        """Return the line of the resource that the program constructs first."""
        made = [place for resource in resources for place in self.constructed.get((resource._type, resource._name), ())]
        return min(((count, chain[0]) for count, chain in made if chain), default=(0, None))[1]


def caller_line(depth: int) -> SourceLine | None:
    """Return the user's innermost line from a frame outwards; `depth` 1 is the frame that calls this."""
    return next(iter(chain_of_frames(sys._getframe(depth), 1)), None)


def _caller_of_class(frame: FrameType | None, resource: pulumi.Resource) -> FrameType | None:
    """Return the frame that called the constructor of the resource's class, where `frame` is within it.

    Like the SDK's own positions: two constructors belong to the SDK's base classes and the third to the class itself.
    A constructor further out is a class of the user's that adds inputs of its own, whose line is worth knowing.
    """
    constructors = 0
    while frame is not None and constructors < 3:
        code = frame.f_code
        if not code.co_argcount or frame.f_locals.get(code.co_varnames[0]) is not resource:
            break
        constructors += code.co_name == "__init__"
        frame = frame.f_back
    return frame


def stack_trace() -> source_pb2.StackTrace:
    """Return the user's frames alone, without reading source lines. Stands in for the SDK's function."""
    # Called by register_resource or read_resource, which the base class's constructor called.
    constructor = sys._getframe(2)
    frames = [
        source_pb2.StackFrame(pc=source_pb2.SourcePosition(uri=_uri(line.path), line=line.line))
        for line in chain_of_frames(_caller_of_class(constructor, constructor.f_locals["self"]))
    ]
    return source_pb2.StackTrace(frames=frames)


@functools.lru_cache(maxsize=4096)
def _uri(path: str) -> str:
    return Path(path).as_uri()


def waiting_line(loop: asyncio.AbstractEventLoop, hooks: Hooks, error: BaseException) -> SourceLine | None:
    """Return where a program waits or works that does not end, after `error` ended it from outside.

    That is a coroutine of the user's, else the first resource whose registration is under way.
    """
    lines: list[SourceLine] = []
    resources = list(_registered_in(error))
    for task in asyncio.all_tasks(loop):
        line = line_of_waiting(task.get_coro())
        if line is not None:
            lines.append(line)
        waiting: Any = task.get_coro()
        while waiting is not None:
            resources.extend(_registered_by(getattr(waiting, "cr_frame", None)))
            waiting = getattr(waiting, "cr_await", None)
    return min(lines) if lines else hooks.first_line(resources)


def _registered_in(error: BaseException) -> Iterator[pulumi.Resource]:
    """Yield the resources whose registrations an exception went through."""
    traceback = error.__traceback__
    while traceback is not None:
        yield from _registered_by(traceback.tb_frame)
        traceback = traceback.tb_next


def _registered_by(frame: FrameType | None) -> Iterator[pulumi.Resource]:
    if frame is not None and frame.f_code.co_name in ("do_register", "do_read"):
        resource = frame.f_locals.get("res")
        if isinstance(resource, pulumi.Resource):
            yield resource
