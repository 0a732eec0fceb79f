"""Stand-ins: what takes the place of something that does not exist, so that the rest of a program can run.

A stand-in is an output that is not known. It can be called, indexed, iterated, calculated with and derived from; all
of that gives further stand-ins. As text it is a mark that makes the whole text unknown where the engine meets it.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pulumi

from ringfence.engine._pulumi_sdk import UnknownOutput
from ringfence.wire import UNKNOWN_SENTINEL

__all__ = ["StandIn", "accepted_as_resources"]

_OPERATORS = (
    *(f"{side}{name}" for side in ("", "r") for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")),
    *(f"{side}{name}" for side in ("", "r") for name in ("and", "or", "xor", "matmul", "lshift", "rshift")),
    *("neg", "pos", "abs", "invert", "lt", "le", "gt", "ge"),
)


class StandIn(UnknownOutput):
    """Something that does not exist: its outputs are unknown."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass  # it has no value of its own; a class of the user's may derive from it and hand arguments on

    def __call__(self, *_: Any, **__: Any) -> StandIn:
        """Give another stand-in, whatever it is called with."""
        return StandIn()

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("_"):
            raise AttributeError(f"a stand-in has no attribute {name!r}")
        return StandIn()

    def __getitem__(self, _: Any) -> StandIn:
        return StandIn()

    def __setitem__(self, *_: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter([StandIn() for _ in range(_unpacked(sys._getframe(1)))])

    def keys(self) -> tuple[str, ...]:
        """Have no keys, for `**` and `dict()`."""
        return ()

    def __str__(self) -> str:
        return UNKNOWN_SENTINEL

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return UNKNOWN_SENTINEL

    def __enter__(self) -> StandIn:
        return StandIn()

    def __exit__(self, *_: Any) -> None:
        pass

    def __instancecheck__(self, _: Any) -> bool:
        return False

    def __mro_entries__(self, _: Any) -> tuple[type, ...]:
        return (StandIn,)


def _another(*_: Any) -> StandIn:
    return StandIn()


for _name in _OPERATORS:
    setattr(StandIn, f"__{_name}__", _another)


def _unpacked(frame: FrameType) -> int:
    """Return how many items a statement such as `a, b = …` takes; one, which a loop can run with, elsewhere."""
    code = frame.f_code.co_code
    if dis.opname[code[frame.f_lasti]] == "UNPACK_SEQUENCE":
        return code[frame.f_lasti + 1]
    return 1


@contextlib.contextmanager
def accepted_as_resources() -> Iterator[None]:
    """Leave stand-ins out of the resource options that take resources: the SDK refuses anything else there."""
    original = pulumi.ResourceOptions.__init__

    @functools.wraps(original)
    def make(options: pulumi.ResourceOptions, *args: Any, **kwargs: Any) -> None:
        original(options, *args, **kwargs)
        for name in ("parent", "provider", "providers", "deleted_with"):
            if isinstance(getattr(options, name), StandIn):
                setattr(options, name, None)

    pulumi.ResourceOptions.__init__ = make  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        pulumi.ResourceOptions.__init__ = original  # type: ignore[method-assign]
