"""The offline provider for programs that run out of process: their SDKs are not imported here by themselves.

Types come from the Python SDK of the same package. It is imported when a resource of the package is first met, and it
judges inputs only where it knows at least what the program's own SDK knows: the same major version, and not an older
one. Otherwise inputs go through unchecked, which is said once for each package.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping
from importlib import metadata
from typing import Any

from ringfence.providers.interface import Answer, Created, InputFault, OutputMode, Registration
from ringfence.providers.offline import OfflineProvider
from ringfence.providers.sdk_imports import import_sdk

__all__ = ["ForeignProvider", "import_meanwhile"]

_NUMBER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_WITHOUT_SDK = ("pulumi", "pulumi-nodejs", "pulumi-python")
"""Packages of the engine itself and of dynamic providers."""


def import_meanwhile(packages: Collection[str]) -> None:
    """Import the SDKs of packages on another thread, where they are installed: a program takes a second to start."""

    def work() -> None:
        for package in packages:
            import_sdk(f"{package}:index:index")

    if packages:
        threading.Thread(target=work, name="ringfence-imports", daemon=True).start()


class ForeignProvider(OfflineProvider):
    """An `OfflineProvider` that imports SDKs when they are needed. `notes` says what could not be checked."""

    def __init__(self, mode: OutputMode = "synthetic", invokes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__(mode, invokes)
        self.notes: list[str] = []
        self._why_not: dict[tuple[str, str], str] = {}

    def check(self, registration: Registration) -> list[InputFault]:
        """Return the inputs that the type does not take, where the installed SDK can tell."""
        import_sdk(registration.type)
        version = registration.provider_inputs.get("version")
        if self._unfit(registration.type.partition(":")[0], version if isinstance(version, str) else ""):
            return []
        return super().check(registration)

    def create(self, registration: Registration) -> Created:
        """Return the id and the outputs of a new resource."""
        import_sdk(registration.type)
        return super().create(registration)

    def read(self, registration: Registration) -> Created:
        """Return the id and the outputs of an existing resource."""
        import_sdk(registration.type)
        return super().read(registration)

    def invoke(
        self, token: str, arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any], *, plain: bool = True
    ) -> Answer:
        """Answer a function."""
        import_sdk(token)
        return super().invoke(token, arguments, provider_inputs, plain=plain)

    def _unfit(self, package: str, version: str) -> str:
        """Return why the installed SDK cannot judge the inputs of a package's resources; empty where it can."""
        if package in _WITHOUT_SDK:
            return ""
        key = (package, version)
        if key not in self._why_not:
            self._why_not[key] = why = _why_not(package, version)
            if why:
                self.notes.append(f"The inputs of {package} resources are not checked against types: {why}.")
        return self._why_not[key]


def _why_not(package: str, version: str) -> str:
    name = f"pulumi-{package}"
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"its Python SDK ({name}) is not installed beside ringfence"
    ours, theirs = _NUMBER.match(installed), _NUMBER.match(version)
    if ours is None or theirs is None:
        return ""
    have, need = (tuple(map(int, found.groups())) for found in (ours, theirs))
    if have[0] != need[0] or have < need:
        return f"the program has version {theirs[0]} of its SDK, and {name} is {installed} here"
    return ""
