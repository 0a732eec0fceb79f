"""How the classes and functions of an SDK are called, and calls that are put right on the way.

A resource class hands what it is called with on to its `_internal_init`, whose signature tells the arguments, and that
is where a required one is missed. All else says so by its own signature.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import operator
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from types import ModuleType
from typing import Any, cast

from ringfence.deployment import Problem, SourceLine
from ringfence.engine.nearest import certain, close, public_names, variables_of
from ringfence.engine.stand_ins import StandIn
from ringfence.engine.syntax import Place, Use, calling_place
from ringfence.providers.sdk_types import fields_of

__all__ = [
    "REQUIRED_PROPERTY",
    "Report",
    "accepts",
    "lenient",
    "missing_argument",
    "only_class_for",
    "surplus_arguments",
    "unknown_argument",
]

Report = Callable[[Problem], None]

REQUIRED_PROPERTY = re.compile(r"Missing required property '(\w+)'")
"""What the constructor of a generated resource class raises as a TypeError."""


# --- signatures ------------------------------------------------------------------------------------------------------


def _parameters(target: Any) -> list[inspect.Parameter] | None:
    """Return what a class or function takes, None where that cannot be told or where it takes any keyword."""
    function = target
    if inspect.isclass(target):
        function = getattr(target, "_internal_init", target.__init__)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters):
        return None
    return parameters[1:] if inspect.isclass(target) else parameters


def _names(parameters: list[inspect.Parameter]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [item.name for item in parameters if item.kind in kinds and not item.name.startswith("__")]


def accepts(target: Any, use: Use) -> bool:
    """Whether a class, function or module can be what a program uses in this way."""
    if use.attribute:
        return hasattr(target, use.attribute)
    if not use.called:
        return True
    if not callable(target):
        return False
    parameters = _parameters(target)
    given = use.keywords or {}
    if parameters is None:
        return True
    if not given.keys() <= set(_names(parameters)):
        return False
    if not inspect.isclass(target):
        return True
    # Members of a union have a property with one allowed value each.
    fields = fields_of(cast(type, target))
    constants = {name: fields.constants.get(wire) for name, wire in fields.python_names.items()}
    return all(constants.get(name) in (None, value) for name, value in given.items() if value is not None)


def only_class_for(module: ModuleType, given: Mapping[str, str | None]) -> str:
    """Return the only args class of a module that takes exactly such arguments, or an empty string."""
    if not given:
        return ""
    use = Use(called=True, keywords=given)
    found = ""
    for name in public_names(module):
        target = variables_of(module).get(name)
        if not name.endswith("Args") or not inspect.isclass(target) or not accepts(target, use):
            continue
        if any(item not in given for item in _required(_parameters(target) or [])):
            continue
        if found:
            return ""
        found = name
    return found


def _required(parameters: list[inspect.Parameter]) -> list[str]:
    return [
        item.name
        for item in parameters
        if item.default is inspect.Parameter.empty
        and item.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]


def _module_of(target: Any) -> ModuleType | None:
    """Return the public module of a class that is defined in a file of its own, or in `_inputs.py`."""
    home = sys.modules.get(target.__module__)
    if home is None or hasattr(home, "__path__"):
        return home
    return sys.modules.get(target.__module__.rpartition(".")[0])


# --- faults ----------------------------------------------------------------------------------------------------------


def unknown_argument(target: Any, name: str, given: Collection[str], source: SourceLine | None) -> Problem:
    """Return the fault that a class or function is called with a keyword argument that it does not take."""
    known = [item for item in _names(_parameters(target) or []) if item not in given]
    near = _renamed(name, known) or close(name, known, lambda _: True)
    remedy = f"Did you mean {near}?" if near else ""
    if not near and _is_args(target):
        other = _other_class(target, given)
        near, remedy = other, f"Did you mean {other}, which takes it?" if other else ""
    return Problem(
        code="PG11",
        message=f"{target.__qualname__} takes no argument {name!r}.",
        path=name,
        expected=near,
        actual=name,
        remedy=remedy,
        source=source,
    )


def missing_argument(target: Any, name: str, source: SourceLine | None) -> Problem:
    """Return the fault that a required argument is not given."""
    return Problem(
        code="PG11",
        message=f"{target.__qualname__} needs the argument {name!r}.",
        path=name,
        expected="a value",
        actual="absent",
        remedy=f"Set {name}.",
        source=source,
    )


def surplus_arguments(target: Any, source: SourceLine | None) -> Problem:
    """Return the fault that more arguments are given by position than are taken so."""
    return Problem(
        code="PG11",
        message=f"{target.__qualname__} does not take that many arguments by position.",
        expected="arguments by name",
        remedy="Give the arguments by name.",
        source=source,
    )


def _is_args(target: Any) -> bool:
    return inspect.isclass(target) and target.__name__.endswith("Args")


def _renamed(name: str, known: Collection[str]) -> str:
    return certain(name, known, lambda _: True)


def _other_class(target: Any, given: Collection[str]) -> str:
    module = _module_of(target)
    return only_class_for(module, dict.fromkeys(given)) if module is not None else ""


# --- calls that are put right ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def lenient(module: str, qualname: str, report: Report) -> Iterator[None]:
    """Let a class or function of an SDK be called wrongly: report what is wrong, leave it out or fill it in."""
    target = operator.attrgetter(qualname)(importlib.import_module(module))
    owners: list[Any]
    if not inspect.isclass(target):
        name, replacement = qualname, _lenient_function(target, report)
        root = module.partition(".")[0]
        owners = [
            item
            for key, item in list(sys.modules.items())
            if (key == root or key.startswith(f"{root}."))
            and isinstance(item, ModuleType)
            and variables_of(item).get(qualname) is target
        ]
    else:
        make = _lenient_resource if hasattr(target, "_internal_init") else _lenient_class
        name, replacement, owners = "__init__", make(target, report), [target]
    own = [(owner, vars(owner).get(name)) for owner in owners]
    for owner in owners:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, before in own:
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def _lenient_function(target: Callable[..., Any], report: Report) -> Callable[..., Any]:
    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = _put_right(target, args, kwargs, report)
        return target(*args, **_filled(target, args, kwargs, report))

    return call


def _lenient_class(target: type, report: Report) -> Callable[..., None]:
    original = target.__init__  # type: ignore[misc]

    @functools.wraps(original)
    def construct(instance: Any, *args: Any, **kwargs: Any) -> None:
        other = _other_class(target, kwargs) if _is_args(target) and type(instance) is target and not args else ""
        if other and not _known(target, kwargs):
            # What was meant is another class of the module. Both are plain classes: one can become the other.
            _put_right(target, args, kwargs, report)
            meant = variables_of(_module_of(target))[other]  # type: ignore[arg-type]
            instance.__class__ = meant
            meant.__init__(instance, **kwargs)
            return
        args, kwargs = _put_right(target, args, kwargs, report)
        original(instance, *args, **_filled(target, args, kwargs, report))

    return construct


def _lenient_resource(target: type, report: Report) -> Callable[..., None]:
    original = target.__init__  # type: ignore[misc]

    @functools.wraps(original)
    def construct(instance: Any, *args: Any, **kwargs: Any) -> None:
        _, kwargs = _put_right(target, (), kwargs, report)
        while True:
            try:
                original(instance, *args, **kwargs)
                return
            except TypeError as error:
                # Raised before anything of the resource is registered, so that it can be constructed once more.
                found = REQUIRED_PROPERTY.fullmatch(str(error))
                if found is None or kwargs.get(found[1]) is not None:
                    raise
            name = found[1]
            report(missing_argument(target, name, _source(calling_place(sys._getframe(1)))))
            kwargs[name] = StandIn()

    return construct


def _known(target: Any, kwargs: Mapping[str, Any]) -> bool:
    parameters = _parameters(target)
    return parameters is None or kwargs.keys() <= set(_names(parameters))


def _put_right(
    target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], report: Report
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Report and leave out what is not taken; what was certainly meant is given under its name."""
    parameters = _parameters(target)
    if parameters is None:
        return args, kwargs
    place = calling_place(sys._getframe(1))
    names = _names(parameters)
    right = {name: value for name, value in kwargs.items() if name in names or name.startswith("__")}
    for name in [name for name in kwargs if name not in right]:
        report(unknown_argument(target, name, kwargs, place.argument(name) if place is not None else None))
        meant = _renamed(name, [item for item in names if item not in kwargs])
        if meant:
            right[meant] = kwargs[name]
    by_position = [item for item in parameters if item.kind is not inspect.Parameter.KEYWORD_ONLY]
    if len(args) > len(by_position) and not any(item.kind is inspect.Parameter.VAR_POSITIONAL for item in parameters):
        report(surplus_arguments(target, _source(place)))
        args = args[: len(by_position)]
    return args, right


def _filled(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Report the required arguments that are not given, and fill them in."""
    parameters = _parameters(target)
    if parameters is None:
        return kwargs
    place = calling_place(sys._getframe(1))
    given = {item.name for item in parameters[: len(args)]} | kwargs.keys()
    for name in [name for name in _required(parameters) if name not in given]:
        report(missing_argument(target, name, _source(place)))
        kwargs = {**kwargs, name: StandIn()}
    return kwargs


def _source(place: Place | None) -> SourceLine | None:
    return place.source if place is not None else None
