"""For tests of stacks and of rules: constrained config types, strategies, fixtures, a kit for rules.

Names are loaded when they are first used, so that config types come without Hypothesis and strategies without pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringfence.testing.inputs import inputs_of
    from ringfence.testing.space import ConfigSpace
    from ringfence.testing.strategies import Broken, broken, configs
    from ringfence.testing.values import GenerationError, register_strategy

__all__ = ["Broken", "ConfigSpace", "GenerationError", "broken", "configs", "inputs_of", "register_strategy"]

_HOMES = {
    "Broken": "strategies",
    "GenerationError": "values",
    "ConfigSpace": "space",
    "broken": "strategies",
    "configs": "strategies",
    "inputs_of": "inputs",
    "register_strategy": "values",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
