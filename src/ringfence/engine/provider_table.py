"""Which provider serves a resource: explicit ones, default ones, packages that take a parameter.

Names and inputs of default providers follow pkg/resource/deploy of pulumi/pulumi.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi.runtime.proto import resource_pb2

from ringfence.deployment import UNKNOWN, Resource, Secret
from ringfence.engine.urn import make_urn, package_of, provider_name
from ringfence.wire import UNKNOWN_SENTINEL

if TYPE_CHECKING:
    from ringfence.engine.monitor import Monitor

__all__ = ["DYNAMIC_PACKAGES", "PROVIDER_PREFIX", "ProviderTable"]

PROVIDER_PREFIX = "pulumi:providers:"
DYNAMIC_PACKAGES = ("pulumi-python", "pulumi-nodejs")
"""Packages of the resources of dynamic providers, by the language that these are written in."""


@dataclass
class _Package:
    """What `RegisterPackage` told about a package."""

    name: str
    version: str
    download_url: str
    base_name: str
    """The plugin that serves a parameterised package."""
    base_version: str
    parameter: str = ""
    """The parameter, in base 64."""


class ProviderTable:
    """The providers of one deployment."""

    def __init__(self, deployment: Monitor) -> None:
        self._deployment = deployment
        self._packages: dict[str, _Package] = {}

    def add_package(self, request: resource_pb2.RegisterPackageRequest) -> str:
        """Return a reference for a package, parameterised or not."""
        name, version, parameter = request.name, request.version, ""
        if request.HasField("parameterization"):
            name, version = request.parameterization.name, request.parameterization.version
            parameter = base64.b64encode(request.parameterization.value).decode()
        reference = f"{name}@{version}#{len(self._packages)}"
        self._packages[reference] = _Package(
            name, version, request.download_url, request.name, request.version, parameter
        )
        return reference

    def serving(self, request: resource_pb2.RegisterResourceRequest | resource_pb2.ReadResourceRequest) -> str | None:
        """Return the URN of the provider that serves a resource: the one given, else the package's default one."""
        if request.type.startswith(PROVIDER_PREFIX):
            return None
        if request.provider:
            return request.provider.rpartition("::")[0]
        package = package_of(request.type)
        if isinstance(request, resource_pb2.RegisterResourceRequest):
            if not request.custom and not request.remote:
                return None
            if package in request.providers:
                return request.providers[package].rpartition("::")[0]
        return self.default(package, request.version, request.pluginDownloadURL, request.packageRef)

    def default(self, package: str, version: str, download_url: str, reference: str) -> str | None:
        """Return the URN of a package's default provider, which the engine makes when it is first needed."""
        if package == "pulumi":
            return None
        known = self._packages.get(reference)
        if known is not None:
            package, version, download_url = known.name, known.version, known.download_url
        type_ = f"{PROVIDER_PREFIX}{package}"
        urn = make_urn(self._deployment.stack, self._deployment.project, type_, provider_name(version, download_url))
        if urn not in self._deployment.resources:
            inputs = self._package_config(package)
            if version:
                inputs["version"] = version
            self._deployment.keep(
                Resource(
                    urn=urn,
                    type=type_,
                    name=provider_name(version, download_url),
                    inputs=inputs,
                    outputs=inputs,
                    default_provider=True,
                )
            )
        return urn

    def _package_config(self, package: str) -> dict[str, Any]:
        # Dynamic providers get the whole config, since they have no namespace of their own.
        whole = package in DYNAMIC_PACKAGES
        found: dict[str, Any] = {}
        for key, value in sorted(self._deployment.config.items()):
            namespace, _, name = key.partition(":")
            if whole or namespace == package:
                plain: Any = UNKNOWN if value == UNKNOWN_SENTINEL else value
                found[key if whole else name] = Secret(plain) if key in self._deployment.secret_keys else plain
        return found

    def inputs(self, provider: str | None, package: str) -> Mapping[str, Any]:
        """Return the inputs of a provider, for example the region that it deploys to."""
        if provider is not None and provider in self._deployment.resources:
            return self._deployment.resources[provider].inputs
        return self._package_config(package)

    def complete(self, request: resource_pb2.RegisterResourceRequest, inputs: dict[str, Any]) -> None:
        """Add to an explicit provider's inputs what the engine adds; its own keys stand under `__internal`."""
        version, download_url = request.version, request.pluginDownloadURL
        internal: dict[str, Any] = {}
        package = self._packages.get(request.packageRef)
        if package is not None:
            version, download_url = package.base_version or version, package.download_url or download_url
        if version:
            inputs["version"] = version
        if download_url:
            internal["pluginDownloadURL"] = download_url
        if request.envVarMappings:
            internal["envVarMappings"] = {key: request.envVarMappings[key] for key in sorted(request.envVarMappings)}
        if package is not None and package.parameter:
            internal |= {"name": package.base_name, "version": version, "parameterization": package.parameter}
            inputs["version"] = package.version
        if internal:
            inputs["__internal"] = internal
