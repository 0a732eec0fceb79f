"""Imports the provider SDK that defines a type, when it is first needed.

A program that runs in this process has imported its SDKs itself. One that runs under the real engine has not: there
the provider imports them, module by module, since a whole SDK takes seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import warnings
from functools import lru_cache

from ringfence.providers.sdk_types import homes_of

__all__ = ["import_sdk"]


_ONE_AT_A_TIME = threading.Lock()
"""A module that another thread is importing stands in `sys.modules` before it is whole."""


def import_sdk(token: str, root: str = "") -> bool:
    """Import the modules that define the type or function of a token; False where its SDK is not installed.

    `root` is the SDK's root module, by default the name that the generator gives it: `pulumi_azure_native`.
    """
    with _ONE_AT_A_TIME:
        return _import_sdk(token, root)


@lru_cache(maxsize=8192)
def _import_sdk(token: str, root: str) -> bool:
    package = token.partition(":")[0]
    root = root or f"pulumi_{package.replace('-', '_')}"
    if not _imported(root):
        return False
    for name in homes_of(token):
        _imported(name)
    return True


def _imported(name: str) -> bool:
    # An SDK that breaks on import is as good as none: the inputs go through unchecked. What it deprecates is not ours.
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # SDKs put modules into `sys.modules` that run when something of theirs is first asked for.
        getattr(importlib.import_module(name), "_utilities", None)
        return True
    return False
