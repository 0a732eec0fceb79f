"""Where in the user's source an exception arose: the syntax node, and how the program uses what stands there.

Python remembers for each instruction the columns that it was compiled from (PEP 657), so that the node is found exactly
and nothing is read out of messages. Where that is switched off (`-X no_debug_ranges`) nothing is found.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import TypeVar

from ringfence.deployment import SourceLine
from ringfence.engine.frames import chain_of_frames, is_user_file

__all__ = ["Place", "Use", "calling_place", "place_of", "use_of", "uses_of_name"]

_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Use:
    """How a program uses a name: what it calls it with, or which attribute of it it reads."""

    called: bool = False
    keywords: Mapping[str, str | None] | None = None
    """The names that it is called with, to their values where these are string literals."""
    attribute: str = ""


@dataclass(frozen=True)
class Place:
    """An instruction of the user's program."""

    frame: FrameType
    code: CodeType
    instruction: int
    source: SourceLine
    later: tuple[CodeType, ...] = ()
    """What the instruction called, down to where the exception arose."""

    def tree(self) -> ast.Module | None:
        """Return the syntax tree of the place's file; None where it cannot be read any more."""
        try:
            return _parse(self.code.co_filename, Path(self.code.co_filename).stat().st_mtime_ns)
        except (OSError, SyntaxError, ValueError):
            return None

    def node(self, kind: type[_Node]) -> _Node | None:
        """Return the node of one kind that the instruction was compiled from."""
        positions = next(itertools.islice(self.code.co_positions(), self.instruction // 2, None), None)
        tree = self.tree()
        if tree is None or positions is None or None in positions:
            return None
        # The end tells two nodes of a kind apart. The start does not hold for the later lines of a chain of calls.
        _, line, _, column = positions
        for node in ast.walk(tree):
            if isinstance(node, kind) and (node.end_lineno, node.end_col_offset) == (line, column):  # type: ignore[attr-defined]
                return node
        return None

    def argument(self, name: str) -> SourceLine:
        """Return the line of a keyword argument of the call at this place; of the call where it stands elsewhere."""
        call = self.node(ast.Call)
        for keyword in call.keywords if call is not None else ():
            if keyword.arg == name:
                return replace(self.source, line=keyword.lineno)
        return self.source


@lru_cache(maxsize=8)
def _parse(filename: str, _: int) -> ast.Module:
    return ast.parse(Path(filename).read_bytes())


def place_of(traceback: TracebackType | None) -> Place | None:
    """Return the user's innermost instruction in a traceback."""
    found: tuple[TracebackType, list[CodeType]] | None = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_user_file(code.co_filename):
            found = (traceback, [])
        elif found is not None:
            found[1].append(code)
        traceback = traceback.tb_next
    if found is None:
        return None
    last, later = found
    frame = last.tb_frame
    source = SourceLine(str(Path(frame.f_code.co_filename).absolute()), last.tb_lineno)
    return Place(frame, frame.f_code, last.tb_lasti, source, tuple(later))


def calling_place(frame: FrameType | None) -> Place | None:
    """Return the user's instruction that led to a frame which is still running, None where none of the program did."""
    lines = chain_of_frames(frame, 1)
    while lines and frame is not None:
        if is_user_file(frame.f_code.co_filename):
            return Place(frame, frame.f_code, frame.f_lasti, lines[0])
        frame = frame.f_back
    return None


def use_of(tree: ast.Module, node: ast.expr) -> Use:
    """Return how the expression around `node` uses it."""
    for parent in ast.walk(tree):
        if isinstance(parent, ast.Call) and parent.func is node:
            return Use(called=True, keywords=dict(_keywords(parent)))
        if isinstance(parent, ast.Attribute) and parent.value is node:
            return Use(attribute=parent.attr)
    return Use()


def uses_of_name(tree: ast.Module, name: str) -> list[Use]:
    """Return all uses of a variable in a file."""
    return [use_of(tree, node) for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]


def _keywords(call: ast.Call) -> Iterator[tuple[str, str | None]]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            value = keyword.value
            literal = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
            yield keyword.arg, literal
