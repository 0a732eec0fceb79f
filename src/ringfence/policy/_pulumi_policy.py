"""The one place that touches what `pulumi_policy` does not export: proxies, wire decoding, pack internals.

Written against pulumi_policy 1.21; `tests/unit/policy/test_pulumi_policy_contract.py` fails loudly when one of these
changes. Everything here mirrors what the SDK's own analyzer server does with a request, without its server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_policy.policy
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import (
    SPECIAL_ARCHIVE_SIG,
    SPECIAL_ASSET_SIG,
    SPECIAL_SECRET_SIG,
    SPECIAL_SIG_KEY,
    deserialize_properties,
    serialize_properties,
)
from pulumi_policy.policy import _NotApplicableError as NotApplicableError
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy
from pulumi_policy.proxy import _DictProxy as DictProxy
from pulumi_policy.proxy import _is_unknown as is_unknown
from pulumi_policy.proxy import _ListProxy as ListProxy
from pulumi_policy.version import VERSION as STOCK_VERSION

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret, Unknown

__all__ = [
    "CONFIG_ATTRIBUTE",
    "STOCK_VERSION",
    "CapturedPack",
    "DictProxy",
    "ListProxy",
    "NotApplicableError",
    "StockAnalyzer",
    "UnknownValueError",
    "Validation",
    "capture",
    "capturing",
    "configure_from_environment",
    "decode",
    "deserialize",
    "is_unknown",
    "metadata",
    "read_options",
    "remediation_answer",
    "remediation_args",
    "restore",
    "serialize",
    "to_wire",
    "unknown_value",
    "validation_of",
]

deserialize, serialize = deserialize_properties, serialize_properties
CONFIG_ATTRIBUTE = "_ResourceValidationArgs__config"
"""Where the arguments of a resource policy keep what `get_config` returns."""
Validation = Callable[[Any, Any], Any]
"""Takes arguments and `report_violation`; returns None or an awaitable."""
StockAnalyzer = _PolicyAnalyzerServicer
"""The SDK's own analyzer, which is never served here."""

_INTERNAL_PREFIX = "__"
"""The engine keeps top-level properties with this prefix from policies (analyzer_plugin.go: SkipInternalKeys)."""

_ASSET_KEYS = {"file": "path", "text": "text", "remote": "uri"}
_ARCHIVE_KEYS = {"file": "path", "assets": "assets", "remote": "uri"}


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
        case DictProxy():
            target: Mapping[str, Any] = value["__target"]  # past the check for unknowns
            return {key: restore(item) for key, item in target.items()}
        case ListProxy():
            return [restore(item) for item in value["__target"]]
        case Mapping():
            return {key: restore(item) for key, item in value.items()}
        case list() | tuple():
            return [restore(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case str():
            return UNKNOWN if is_unknown(value) else value
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


def read_options(request: Any) -> PolicyResourceOptions:
    """Return the options as the SDK reads them off a request, repeated fields and all."""
    return _PolicyAnalyzerServicer._get_resource_options(cast(_PolicyAnalyzerServicer, None), request)


def remediation_args(
    request: proto.AnalyzeRequest, config: Mapping[str, Any], tags: Mapping[str, str]
) -> ResourceValidationArgs:
    """Return what the SDK gives a remediation: properties with their secrets as such, and raising where unknown."""
    servicer = cast(_PolicyAnalyzerServicer, None)
    props = unknown_checking_proxy(deserialize_properties(json_format.MessageToDict(request.properties), True))
    provider = _PolicyAnalyzerServicer._get_provider_resource(servicer, request)
    return ResourceValidationArgs(
        request.type, props, request.urn, request.name, read_options(request), provider, dict(config), tags
    )


def remediation_answer(properties: Any) -> Struct:
    """Return the properties that a remediation answers, as the SDK sends them."""
    struct = Struct()
    for key, value in serialize_properties(properties).items():
        struct[key] = value
    return struct


def configure_from_environment() -> None:
    """Set pulumi's ambient settings from the `PULUMI_*` variables, as the SDK does for every request."""
    configure: Callable[[Any], None] = _PolicyAnalyzerServicer._configure_runtime_settings
    configure(None)


def validation_of(policy: Policy) -> Validation | None:
    """Return what judges by `policy`; None for a policy that only remediates.

    The SDK's `validate` makes a list, a coroutine function and a look for awaitables for each call, also for the one
    plain function that most policies have. That function is returned itself.
    """
    if not isinstance(policy, ResourceValidationPolicy | StackValidationPolicy):
        return None
    if isinstance(policy, ResourceValidationPolicy) and not policy.has_validation():
        return None
    if type(policy) is ResourceValidationPolicy:
        own: Any = policy._ResourceValidationPolicy__validate  # type: ignore[attr-defined]
        if callable(own):
            return cast(Validation, own)
    return cast(Validation, policy.validate)


def metadata(stock: StockAnalyzer) -> proto.AnalyzerInfo:
    """Return what the SDK's own analyzer says of its pack and policies."""
    answer: Callable[[Any, Any], proto.AnalyzerInfo] = stock.GetAnalyzerInfo
    return answer(None, None)


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
    stock: _PolicyAnalyzerServicer
    """The SDK's analyzer of the pack, not served. It answers what needs no resource."""


class _CapturedError(BaseException):
    """Ends the program of a pack where the SDK would serve for ever: what follows `PolicyPack(...)` never runs."""


_capturing = threading.RLock()
_takers: ContextVar[int] = ContextVar("takers", default=0)


def capturing() -> bool:
    """Whether a `PolicyPack(...)` that is constructed here and now is captured instead of served."""
    return _takers.get() > 0


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
        initial_config: dict[str, Any] | None = None,
        description: str | None = None,
        *more: Any,
    ) -> None:
        stock = original(name, version, policies, enforcement_level, initial_config, description, *more)
        captured.append(
            CapturedPack(name, tuple(policies), enforcement_level, initial_config or {}, description or "", stock)
        )
        raise _CapturedError

    with _capturing:
        original = pulumi_policy.policy._PolicyAnalyzerServicer
        pulumi_policy.policy._PolicyAnalyzerServicer = instead_of_a_server  # type: ignore[assignment,misc]
        token = _takers.set(_takers.get() + 1)
        try:
            yield captured
        except _CapturedError:
            pass
        finally:
            _takers.reset(token)
            pulumi_policy.policy._PolicyAnalyzerServicer = original  # type: ignore[misc]
