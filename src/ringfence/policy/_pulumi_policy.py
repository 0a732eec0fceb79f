"""The one place that touches what `pulumi_policy` does not export: proxies, wire decoding, pack internals.

Written against pulumi_policy 1.21; `tests/unit/policy/test_pulumi_policy_contract.py` fails loudly when one of these
changes. Everything here mirrors what the SDK's own analyzer server does with a request, without its server.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import pulumi
import pulumi_policy.policy
from pulumi.runtime import proto
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyProviderResource,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
)
from pulumi_policy.deserialize import (
    SPECIAL_ARCHIVE_SIG,
    SPECIAL_ASSET_SIG,
    SPECIAL_SECRET_SIG,
    SPECIAL_SIG_KEY,
    deserialize_properties,
)
from pulumi_policy.policy import _NotApplicableError as NotApplicableError
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import (
    UNKNOWN_STRING_VALUE,
    UnknownValueError,
    _DictProxy,
    _is_unknown,
    _ListProxy,
    unknown_checking_proxy,
)

from ringfence.deployment import UNKNOWN, Archive, Asset, Resource, ResourceReference, Secret, Unknown

__all__ = [
    "CapturedPack",
    "LazyResource",
    "LazyResourceArgs",
    "NotApplicableError",
    "Subject",
    "UnknownValueError",
    "capture",
    "decode",
    "is_unknown",
    "restore",
    "to_wire",
    "unknown_value",
]

is_unknown = _is_unknown

_INTERNAL_PREFIX = "__"
"""The engine keeps top-level properties with this prefix from policies (analyzer_plugin.go: SkipInternalKeys)."""

_ASSET_KEYS = {"file": "path", "text": "text", "remote": "uri"}
_ARCHIVE_KEYS = {"file": "path", "assets": "assets", "remote": "uri"}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


# --- values ----------------------------------------------------------------------------------------------------------


def to_wire(value: Any) -> Any:
    """Return a value of ours as the engine writes it on the wire: numbers as doubles, markers as the SDK's sentinels.

    A resource handed over as a value travels as its id, or as its URN where it has none (rpc.go, KeepResources off).
    """
    match value:
        case None | bool() | str():
            return value
        case int() | float():
            return float(value)
        case Unknown():
            return UNKNOWN_STRING_VALUE
        case Secret():
            return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": to_wire(value.value)}
        case Asset():
            return {SPECIAL_SIG_KEY: SPECIAL_ASSET_SIG, _ASSET_KEYS[value.kind]: value.content}
        case Archive():
            return {SPECIAL_SIG_KEY: SPECIAL_ARCHIVE_SIG, _ARCHIVE_KEYS[value.kind]: to_wire(value.content)}
        case ResourceReference():
            return value.urn if value.id is None else to_wire(value.id)
        case Mapping():
            return {str(key): to_wire(item) for key, item in value.items()}
        case list() | tuple():
            return [to_wire(item) for item in value]
        case _:
            raise TypeError(f"a value of type {type(value).__name__} cannot be sent to a policy")


def decode(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties as the SDK decodes them from the wire: secrets plain, assets as pulumi's own objects."""
    wire = {key: to_wire(value) for key, value in values.items() if not key.startswith(_INTERNAL_PREFIX)}
    return deserialize_properties(wire)


def restore(value: Any) -> Any:
    """Return what a policy was given (proxies, sentinels, doubles) as a value of ours. Secret marks are lost."""
    match value:
        case _DictProxy():
            target: Mapping[str, Any] = value["__target"]  # past the check for unknowns
            return {key: restore(item) for key, item in target.items()}
        case _ListProxy():
            return [restore(item) for item in value["__target"]]
        case Mapping():
            return {key: restore(item) for key, item in value.items()}
        case list() | tuple():
            return [restore(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case str():
            return UNKNOWN if _is_unknown(value) else value
        case pulumi.FileAsset():
            return Asset("file", str(value.path))
        case pulumi.StringAsset():
            return Asset("text", str(value.text))
        case pulumi.RemoteAsset():
            return Asset("remote", str(value.uri))
        case pulumi.AssetArchive():
            return Archive("assets", {key: restore(item) for key, item in value.assets.items()})
        case pulumi.FileArchive():
            return Archive("file", str(value.path))
        case pulumi.RemoteArchive():
            return Archive("remote", str(value.uri))
        case _:
            return value


def unknown_value(path: str) -> UnknownValueError:
    """Return the error by which a policy tells the SDK that it met the unknown value at `path`."""
    return UnknownValueError(UNKNOWN_STRING_VALUE, [path])


# --- what a policy is given ------------------------------------------------------------------------------------------


def _seconds(duration: str) -> float:
    """Return the seconds of a Go duration such as `1h30m`; 0, the SDK's "not set", for what is none."""
    parts = _DURATION_PART.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        return 0.0
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


@dataclass(eq=False)
class Subject:
    """A resource that policies look at. Its properties are decoded once, however many policies there are."""

    resource: Resource
    provider_resource: Resource | None = None

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """The inputs, as resource policies get them."""
        return decode(self.resource.inputs)

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The outputs, as stack policies get them."""
        return decode(self.resource.outputs)

    @cached_property
    def _provider_inputs(self) -> dict[str, Any]:
        return decode(self.provider_resource.inputs) if self.provider_resource else {}

    @cached_property
    def _request(self) -> Any:
        given = self.resource.options
        timeouts = {key: _seconds(given.custom_timeouts.get(key, "")) for key in ("create", "update", "delete")}
        return proto.AnalyzerResource(
            options=proto.AnalyzerResourceOptions(
                protect=bool(given.protect),
                ignoreChanges=given.ignore_changes,
                deleteBeforeReplace=bool(given.delete_before_replace),
                deleteBeforeReplaceDefined=given.delete_before_replace is not None,
                additionalSecretOutputs=given.additional_secret_outputs,
                aliases=given.aliases,
                customTimeouts=proto.AnalyzerResourceOptions.CustomTimeouts(**timeouts),
                parent=self.resource.parent or "",
            )
        )

    def options(self) -> PolicyResourceOptions:
        """Return the options as the SDK reads them off a request, repeated fields and all."""
        read = _PolicyAnalyzerServicer._get_resource_options
        return read(cast(_PolicyAnalyzerServicer, None), self._request)

    def provider(self) -> PolicyProviderResource | None:
        """Return the provider that serves the resource; None for components and providers."""
        found = self.provider_resource
        if found is None:
            return None
        props = unknown_checking_proxy(self._provider_inputs)
        return PolicyProviderResource(found.type, props, found.urn, found.name)


class _Lazy:
    """Makes the parts of an argument when a policy first reads them, and for that policy alone.

    Most policies look at the type and return, so most proxies are never made; and what one policy writes into its
    properties, no other sees. Both hold for the SDK's server too, which decodes anew for every policy.
    """

    _makers: Mapping[str, Callable[[], Any]]

    def __getattr__(self, name: str) -> Any:
        make = self.__dict__.get("_makers", {}).get(name)
        if make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = make()
        setattr(self, name, value)
        return value


_LATER = cast(Any, None)


class LazyResourceArgs(_Lazy, ResourceValidationArgs):
    """What a resource policy is given."""

    def __init__(self, subject: Subject, config: Mapping[str, Any], stack_tags: Mapping[str, str]) -> None:
        resource = subject.resource
        super().__init__(resource.type, _LATER, resource.urn, resource.name, _LATER, _LATER, config, stack_tags)
        del self.props, self.opts, self.provider
        self._makers = {
            "props": lambda: unknown_checking_proxy(subject.inputs),
            "opts": subject.options,
            "provider": subject.provider,
        }


class LazyResource(_Lazy, PolicyResource):
    """A resource of a stack as a stack policy is given it."""

    def __init__(self, subject: Subject) -> None:
        resource = subject.resource
        super().__init__(resource.type, _LATER, resource.urn, resource.name, _LATER, _LATER, None, [], {})
        del self.props, self.opts, self.provider
        self._makers = {
            "props": lambda: unknown_checking_proxy(subject.outputs),
            "opts": subject.options,
            "provider": subject.provider,
        }


# --- capturing a pack ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CapturedPack:
    """The arguments of a `PolicyPack(...)` that was not served, after the SDK's own checks of them."""

    name: str
    policies: tuple[Policy, ...]
    level: EnforcementLevel
    """The level of policies that name none."""
    initial_config: Mapping[str, Any]
    description: str


class _CapturedError(BaseException):
    """Ends the program of a pack where the SDK would serve for ever: what follows `PolicyPack(...)` never runs."""


_capturing = threading.RLock()


@contextmanager
def capture() -> Iterator[list[CapturedPack]]:
    """Within it, `PolicyPack(...)` puts itself into the list that this gives, and ends the block.

    The SDK checks the pack's arguments first, and its errors (`TypeError`) pass through.
    """
    captured: list[CapturedPack] = []

    def instead_of_a_server(
        name: str,
        version: str,  # the SDK always says 0.0.1; the real one stands in PulumiPolicy.yaml
        policies: list[Policy],
        enforcement_level: EnforcementLevel,
        initial_config: Mapping[str, Any] | None = None,
        description: str | None = None,
        *_: Any,
    ) -> None:
        captured.append(CapturedPack(name, tuple(policies), enforcement_level, initial_config or {}, description or ""))
        raise _CapturedError

    with _capturing:
        original = pulumi_policy.policy._PolicyAnalyzerServicer
        pulumi_policy.policy._PolicyAnalyzerServicer = instead_of_a_server  # type: ignore[assignment,misc]
        try:
            yield captured
        except _CapturedError:
            pass
        finally:
            pulumi_policy.policy._PolicyAnalyzerServicer = original  # type: ignore[misc]
