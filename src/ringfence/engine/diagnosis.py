"""From the exception that ended a program to a repair: what is wrong, what was meant, and what to put in its place.

Only what an exception says exactly is repaired: by its own attributes (`name`, `obj`), and by the syntax node of the
user's instruction that it arose at. What concerns neither an SDK nor a name is left as it is.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType, TracebackType
from typing import Any

import pulumi

from ringfence.deployment import Problem, SourceLine
from ringfence.engine.calls import (
    REQUIRED_PROPERTY,
    Report,
    lenient,
    missing_argument,
    surplus_arguments,
    unknown_argument,
)
from ringfence.engine.monitor import RepairableError
from ringfence.engine.nearest import certain, close
from ringfence.engine.repairs import Repair, attribute_set, ignoring_report, module_set
from ringfence.engine.sdk_names import (
    UNKNOWN_VALUE,
    Member,
    SeveralModules,
    find_member,
    forgotten_import,
    is_of_sdk,
    is_sdk,
)
from ringfence.engine.stand_ins import StandIn
from ringfence.engine.syntax import Place, Use, calling_place, place_of, use_of, uses_of_name

__all__ = ["diagnose"]

_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: '(\w+)'")
_SURPLUS = re.compile(r"takes (?:from \d+ to )?\d+ positional arguments? but \d+ (?:was|were) given")


def diagnose(error: BaseException, traceback: TracebackType | None, source: SourceLine | None) -> Repair | None:
    """Return how to repair the fault that ended a program; None if that is not certain.

    `error` is the cause behind what the SDK wraps around it, `traceback` how it arose, `source` the line that the user
    is told.
    """
    place = place_of(traceback)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to look for a name imports modules that the program did not ask for
        try:
            return _diagnose(error, place, traceback, source)
        except Exception:  # a module may raise anything while it is imported: nothing is certain then
            return None


def _diagnose(
    error: BaseException, place: Place | None, traceback: TracebackType | None, source: SourceLine | None
) -> Repair | None:
    last = traceback
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    match error:
        case RepairableError():
            problem = replace(error.problem, source=error.problem.source or source)
            what = "a refused asset" if problem.code == "PG13" else "a placeholder for the result of a function"
            return Repair(("refusal", problem.message), problem, what, ignoring_report(contextlib.nullcontext))
        case ImportError():
            return _import(error, place)
        case UnboundLocalError():
            return None
        case NameError():
            return _undefined(error, place)
        case AttributeError():
            return _attribute(error, place, source, last)
        case TypeError():
            return _call(error, place, last)
    return None


# --- names of an SDK -------------------------------------------------------------------------------------------------


def _import(error: ImportError, place: Place | None) -> Repair | None:
    if place is None or error.name is None or not is_sdk(error.name):
        return None
    if isinstance(error, ModuleNotFoundError):
        parent, _, name = error.name.rpartition(".")
        statement = place.node(ast.Import) or place.node(ast.ImportFrom)
        if statement is None or parent not in sys.modules:
            return None
        found = find_member(sys.modules[parent], name, [])
        problem = _no_such_name(parent, name, found, place.source)
        apply = functools.partial(module_set, error.name, found.make)
        return Repair(("name", error.name), problem, f"{found.stands} for {name}", ignoring_report(apply))
    node = place.node(ast.ImportFrom)
    owner = sys.modules.get(error.name)
    tree = place.tree()
    if node is None or owner is None or tree is None:
        return None
    for alias in node.names:
        if not hasattr(owner, alias.name):
            uses = uses_of_name(tree, alias.asname or alias.name)
            line = SourceLine(place.source.path, alias.lineno)
            return _name_of_module(owner, alias.name, uses, line)
    return None


def _name_of_module(owner: ModuleType, name: str, uses: Sequence[Use], source: SourceLine) -> Repair | None:
    if isinstance(owner, SeveralModules):
        owner = owner.parts[0]
    if sys.modules.get(owner.__name__) is not owner:
        return None
    found = find_member(owner, name, uses)
    problem = _no_such_name(owner.__name__, name, found, source)
    apply = functools.partial(attribute_set, owner.__name__, "", name, found.make)
    return Repair(("name", f"{owner.__name__}.{name}"), problem, f"{found.stands} for {name}", ignoring_report(apply))


def _no_such_name(owner: str, name: str, member: Member, source: SourceLine | None) -> Problem:
    return Problem(
        code="PG09",
        message=f"{owner} has no {name}.",
        expected=member.meant,
        actual=name,
        remedy=f"Did you mean {member.meant}?" if member.meant else "",
        source=source,
    )


# --- undefined names -------------------------------------------------------------------------------------------------


def _undefined(error: NameError, place: Place | None) -> Repair | None:
    name = error.name
    node = place.node(ast.Name) if place is not None else None
    tree = place.tree() if place is not None else None
    if place is None or node is None or tree is None or place.later or node.id != name or hasattr(builtins, name):
        return None
    use = use_of(tree, node)
    member = forgotten_import(name, use, place) or Member(StandIn, UNKNOWN_VALUE, _variable_like(name, place))
    problem = Problem(
        code="PG10",
        message=f"{name} is not defined.",
        expected=member.meant,
        actual=name,
        remedy=f"Did you mean {member.meant}?" if member.meant else "",
        source=place.source,
    )
    apply = functools.partial(attribute_set, "builtins", "", name, member.make)
    return Repair(("builtins", name), problem, f"{member.stands} for {name}", ignoring_report(apply))


def _variable_like(name: str, place: Place) -> str:
    known = {*place.frame.f_locals, *place.frame.f_globals, *dir(builtins)} - {name}
    return close(name, [item for item in known if not item.startswith("_")], lambda _: True)


# --- attributes ------------------------------------------------------------------------------------------------------


def _attribute(
    error: AttributeError, place: Place | None, source: SourceLine | None, last: TracebackType | None
) -> Repair | None:
    owner, name = error.obj, error.name
    if name is None or name.startswith("_") or isinstance(owner, StandIn):
        return None
    node = place.node(ast.Attribute) if place is not None else None
    direct = node is not None and node.attr == name
    if place is not None and direct and isinstance(owner, ModuleType):
        tree = place.tree()
        uses = [use_of(tree, node)] if tree is not None and node is not None else []
        return _name_of_module(owner, name, uses, place.source) if is_sdk(owner.__name__) else None
    if place is not None and direct and inspect.isclass(owner):
        return _attribute_of_class(owner, name, place.source) if is_of_sdk(owner) else None
    # An output reads an attribute of its value when it has one: long after the user's line.
    lifted = last is not None and last.tb_frame.f_globals.get("__name__") == pulumi.Output.__module__
    if direct or lifted:
        return _attribute_of_instance(type(owner), name, source) if is_of_sdk(type(owner)) else None
    return None


def _attribute_of_class(owner: type, name: str, source: SourceLine) -> Repair:
    names = [item for item in dir(owner) if not item.startswith("_")]
    meant = certain(name, names, lambda _: True)
    make = functools.partial(getattr, owner, meant) if meant else StandIn
    near = meant or close(name, names, lambda _: True)
    near = f"{owner.__qualname__}.{near}" if near else ""
    title = near if meant else UNKNOWN_VALUE
    problem = _no_such_name(owner.__qualname__, name, Member(make, title, near), source)
    apply = functools.partial(attribute_set, owner.__module__, owner.__qualname__, name, make)
    target = ("name", f"{owner.__module__}.{owner.__qualname__}.{name}")
    return Repair(target, problem, f"{title} for {name}", ignoring_report(apply))


def _attribute_of_instance(owner: type, name: str, source: SourceLine | None) -> Repair:
    names = [item for item in dir(owner) if not item.startswith("_")]
    meant = certain(name, names, lambda _: True)
    near = meant or close(name, names, lambda _: True)

    def problem(line: SourceLine | None) -> Problem:
        return Problem(
            code="PG12",
            message=f"{owner.__qualname__} has no attribute {name}.",
            path=name,
            expected=near,
            actual=name,
            remedy=f"Did you mean {near}?" if near else "",
            source=line,
        )

    def apply(report: Report) -> AbstractContextManager[None]:
        def make() -> _MissingAttribute:
            return _MissingAttribute(meant, lambda line: report(problem(line)))

        return attribute_set(owner.__module__, owner.__qualname__, name, make)

    title = meant or UNKNOWN_VALUE
    return Repair(("attribute", owner.__qualname__, name), problem(source), f"{title} for {name}", apply)


class _MissingAttribute:
    """A descriptor for an attribute that does not exist: what was certainly meant, else unknown."""

    def __init__(self, meant: str, report: Callable[[SourceLine | None], None]) -> None:
        self._meant = meant
        self._report = report

    def __get__(self, instance: object, _: type | None = None) -> Any:
        place = calling_place(sys._getframe(1))
        if place is not None:
            self._report(place.source)
        return getattr(instance, self._meant) if self._meant and instance is not None else StandIn()


# --- calls -----------------------------------------------------------------------------------------------------------


def _call(error: TypeError, place: Place | None, last: TracebackType | None) -> Repair | None:
    call = place.node(ast.Call) if place is not None else None
    if place is None or call is None:
        return None
    text = str(error)
    target = _called(place, call, text, last)
    if target is None or not is_of_sdk(target):
        return None
    given = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    if found := REQUIRED_PROPERTY.fullmatch(text) or _MISSING.search(text):
        problem = missing_argument(target, found[1], place.source)
        what = f"{UNKNOWN_VALUE} for the argument {found[1]}"
    elif found := _UNEXPECTED.search(text):
        problem = unknown_argument(target, found[1], given | {found[1]}, place.argument(found[1]))
        what = f"{target.__qualname__} without {found[1]}"
    elif _SURPLUS.search(text):
        problem = surplus_arguments(target, place.source)
        what = f"{target.__qualname__} without the surplus arguments"
    else:
        return None
    apply = functools.partial(lenient, target.__module__, target.__qualname__)
    return Repair(("call", target.__module__, target.__qualname__), problem, what, apply)


def _called(place: Place, call: ast.Call, text: str, last: TracebackType | None) -> Any:
    """Return the class or function whose call the exception says is wrong."""
    if not place.later:
        # Python itself refused the arguments; it names the function.
        target = _value_of(call.func, place)
        if inspect.isclass(target) and "_internal_init" not in dir(target):
            return target if text.startswith(f"{target.__init__.__qualname__}() ") else None
        return target if inspect.isfunction(target) and text.startswith(f"{target.__qualname__}() ") else None
    # Else the constructor of a resource class did, or what that calls.
    if last is None or [code.co_name for code in place.later] not in (["__init__"], ["__init__", "_internal_init"]):
        return None
    instance = last.tb_frame.f_locals.get("__self__")
    target = next((base for base in type(instance).__mro__ if "_internal_init" in vars(base)), None)
    if target is None or len(place.later) == 2:
        return target if REQUIRED_PROPERTY.fullmatch(text) else None
    return target if text.startswith(f"{target.__qualname__}._internal_init() ") else None


def _value_of(node: ast.expr, place: Place) -> Any:
    """Return what a dotted name stands for where only modules and classes are on its way; None otherwise."""
    if isinstance(node, ast.Name):
        for scope in (place.frame.f_locals, place.frame.f_globals):
            if node.id in scope:
                return scope[node.id]
        return None
    if isinstance(node, ast.Attribute):
        owner = _value_of(node.value, place)
        if isinstance(owner, ModuleType) or inspect.isclass(owner):
            return getattr(owner, node.attr, None)
    return None
