"""Type tokens as rules name them: without API versions, with moved modules where they live now."""

from __future__ import annotations

import re
from functools import lru_cache

from ringfence.moved import AZURE_NATIVE_MODULES, AZURE_NATIVE_TYPES

__all__ = ["normalise"]

_VERSION = re.compile(r"/v\d{8}(preview|privatepreview)?\Z")

_MOVED = {f"azure-native:{old}": f"azure-native:{new[0]}" for old, new in AZURE_NATIVE_MODULES.items() if len(new) == 1}
_MOVED |= {f"azure-native:{old}": f"azure-native:{new}" for old, new in AZURE_NATIVE_TYPES.items()}


@lru_cache(maxsize=4096)
def normalise(token: str) -> str:
    """Return `token` without an API version and with its module's present name.

    `azure-native:storage/v20220901:StorageAccount` is `azure-native:storage:StorageAccount`, and
    `azure-native:documentdb:DatabaseAccount` is `azure-native:cosmosdb:DatabaseAccount`. Other tokens stay.
    """
    parts = token.split(":")
    if len(parts) != 3 or parts[0] != "azure-native":
        return token
    package, module, name = parts
    module = _VERSION.sub("", module)
    plain = f"{package}:{module}:{name}"
    if plain in _MOVED:
        return _MOVED[plain]
    moved = _MOVED.get(f"{package}:{module}")
    return f"{moved}:{name}" if moved else plain
