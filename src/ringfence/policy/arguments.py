"""What a CrossGuard policy is given: its arguments, whose parts are made when the policy first reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from pulumi.runtime import proto
from pulumi_policy import PolicyProviderResource, PolicyResource, PolicyResourceOptions, ResourceValidationArgs

from ringfence.deployment import Resource
from ringfence.policy._pulumi_policy import CONFIG_ATTRIBUTE, decode, read_options
from ringfence.policy.analyzer_wire import WireError, seconds, write_options
from ringfence.policy.proxies import decode_properties, lazy_proxy

__all__ = ["ArgumentMaker", "LazyResource", "LazyResourceArgs", "RequestSubject", "Subject", "seconds"]


@dataclass(eq=False)
class Subject:
    """A resource of ours that policies look at. Its properties are decoded once, however many policies there are."""

    resource: Resource
    provider_resource: Resource | None = None

    def __post_init__(self) -> None:
        self.type, self.urn, self.name = self.resource.type, self.resource.urn, self.resource.name

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
        return proto.AnalyzerResource(options=write_options(self.resource))

    def options(self) -> PolicyResourceOptions:
        """Return the options as the SDK reads them off a request."""
        return read_options(self._request)

    def provider(self) -> PolicyProviderResource | None:
        """Return the provider that serves the resource; None for components and providers."""
        found = self.provider_resource
        if found is None:
            return None
        return PolicyProviderResource(found.type, lazy_proxy(self._provider_inputs), found.urn, found.name)


class RequestSubject:
    """A resource as the engine sends it: inputs to `Analyze`, outputs to `AnalyzeStack`. Decoded once.

    Raises `WireError` for properties that are none of the protocol's.
    """

    def __init__(self, request: proto.AnalyzeRequest | proto.AnalyzerResource) -> None:
        self.type, self.urn, self.name = request.type, request.urn, request.name
        self._given = request
        self._has_provider = request.HasField("provider")
        try:
            # At once: the SDK refuses a request with a malformed value, whether a policy looks at it or not.
            self.inputs = self.outputs = decode_properties(request.properties)
            self._provider_inputs = decode_properties(request.provider.properties) if self._has_provider else {}
        except (ValueError, AssertionError) as error:
            raise WireError(f"{request.urn}: {error}") from error

    def options(self) -> PolicyResourceOptions:
        """Return the options."""
        return read_options(self._given)

    def provider(self) -> PolicyProviderResource | None:
        """Return the provider that serves the resource; None for components and providers."""
        if not self._has_provider:
            return None
        given = self._given.provider
        return PolicyProviderResource(given.type, lazy_proxy(self._provider_inputs), given.urn, given.name)


_LATER = cast(Any, None)


class _Lazy:
    """Makes the parts of an argument when a policy first reads them, and for that policy alone.

    Most policies look at the type and return, so most proxies are never made; and what one policy writes into its
    properties, no other sees. Both hold for the SDK's server too, which decodes anew for every policy.
    """

    _subject: Subject | RequestSubject

    def __getattr__(self, name: str) -> Any:
        value: Any
        match name:
            case "props":
                value = self._properties()
            case "opts":
                value = self._subject.options()
            case "provider":
                value = self._subject.provider()
            case _:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        setattr(self, name, value)
        return value

    def _properties(self) -> Any:
        raise NotImplementedError


class LazyResourceArgs(_Lazy, ResourceValidationArgs):
    """What a resource policy is given."""

    def __init__(
        self, subject: Subject | RequestSubject, config: Mapping[str, Any] | None, stack_tags: Mapping[str, str]
    ) -> None:
        super().__init__(subject.type, _LATER, subject.urn, subject.name, _LATER, _LATER, config, stack_tags)
        del self.props, self.opts, self.provider
        self._subject = subject

    def _properties(self) -> Any:
        return lazy_proxy(self._subject.inputs)


class ArgumentMaker:
    """Makes the arguments of many policies about one resource: each gets its own, of which most read little."""

    def __init__(self, subject: Subject | RequestSubject, stack_tags: Mapping[str, str]) -> None:
        self._plain = vars(LazyResourceArgs(subject, None, stack_tags))

    def make(self, config: Mapping[str, Any] | None) -> LazyResourceArgs:
        """Return the arguments of one policy; its `config` is copied."""
        args = LazyResourceArgs.__new__(LazyResourceArgs)
        args.__dict__.update(self._plain)
        args.__dict__[CONFIG_ATTRIBUTE] = dict(config) if config else {}
        return args


class LazyResource(_Lazy, PolicyResource):
    """A resource of a stack as a stack policy is given it."""

    def __init__(self, subject: Subject | RequestSubject) -> None:
        super().__init__(subject.type, _LATER, subject.urn, subject.name, _LATER, _LATER, None, [], {})
        del self.props, self.opts, self.provider
        self._subject = subject

    def _properties(self) -> Any:
        return lazy_proxy(self._subject.outputs)
