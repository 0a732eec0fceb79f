"""The resource monitor: what the engine answers to a program, whatever transport carries the questions.

It takes and gives the messages of `pulumirpc.ResourceMonitor` and keeps what becomes the `Deployment`. It answers at
once, except where the program registered transforms: then the answer is a coroutine, since the program must be called
back first. Semantics follow pkg/resource/deploy/source_eval.go of pulumi/pulumi for a first preview.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import callback_pb2, engine_pb2, provider_pb2, resource_pb2

from ringfence.deployment import (
    STACK_TYPE,
    UNKNOWN,
    Diagnostic,
    Options,
    Problem,
    Resource,
    Secret,
    SourceLine,
    reveal,
)
from ringfence.engine.assets import asset_faults
from ringfence.engine.frames import chain_of_frames
from ringfence.engine.provider_table import DYNAMIC_PACKAGES, PROVIDER_PREFIX, ProviderTable
from ringfence.engine.requests import inherit, options_of, sources_of
from ringfence.engine.transforms import CallBack, transform_invoke, transform_registration
from ringfence.engine.urn import make_urn, package_of
from ringfence.providers.interface import Created, Provider, Registration
from ringfence.wire import UNKNOWN_SENTINEL, decode, dependencies_of, encode, unknown_where_marked

__all__ = ["FEATURES", "EngineRefusalError", "Monitor", "RepairableError"]

_feature = resource_pb2.ResourceMonitorFeature.Value
FEATURES = tuple(
    _feature(f"RESOURCE_MONITOR_FEATURE_{name}")
    for name in (
        "SECRETS",
        "RESOURCE_REFERENCES",
        "OUTPUT_VALUES",
        "ALIAS_SPECS",
        "REPLACEMENT_TRIGGER",
        "DELETED_WITH",
        "REPLACE_WITH",
        "TRANSFORMS",
        "INVOKE_TRANSFORMS",
        "PARAMETERIZATION",
        "RESOURCE_HOOKS",
        "ERROR_HOOKS",
        # Accepted and never called: a first preview has no state that could migrate.
        "STATE_MIGRATIONS",
    )
)
"""What this monitor implements. A program that uses more is told so by its SDK instead of being silently wrong."""

_STACK_REFERENCE = "pulumi:pulumi:StackReference"

TakePart = Callable[
    ["Monitor", resource_pb2.RegisterResourceRequest], Awaitable[resource_pb2.RegisterResourceResponse | None]
]
"""Lets the processes of providers take part in a registration: see `Monitor.take_part`."""


class EngineRefusalError(Exception):
    """The engine refuses what the program asked for; the program fails with it, as it would under the CLI."""

    def __init__(self, message: str, source: SourceLine | None = None) -> None:
        super().__init__(message)
        self.source = source


class RepairableError(EngineRefusalError):
    """A refusal that a program can be run on with, for the sake of its other faults: as a problem instead."""

    def __init__(self, message: str, problem: Problem) -> None:
        super().__init__(message, problem.source)
        self.problem = problem


@dataclass
class Monitor:
    """One deployment under way."""

    project: str
    stack: str
    provider: Provider
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    """Full key to value, as the program gets it."""
    secret_keys: frozenset[str] = frozenset()
    stack_references: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    working_directory: Path = field(default_factory=Path.cwd)
    call_back: CallBack | None = None
    """How to call the program back; None where it cannot register callbacks."""
    take_part: TakePart | None = None
    """What constructs remote components (its answer is the registration's then) and checks dynamic resources, by
    changing the request; None where the first are unknown and the second are Python's, checked in this process."""
    recovering: bool = False
    """Whether the program runs with repairs: text that holds the mark of a stand-in is unknown, and what raises
    `RepairableError` otherwise is a problem."""
    order: Callable[[str, str], int] | None = None
    """Place of a resource (type and name) in the program's order, where the host knows it."""

    def __post_init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.stack_outputs: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.diagnostics: list[Diagnostic] = []
        self._places: dict[str, int] = {}
        self._providers = ProviderTable(self)
        self._stack_transforms: list[callback_pb2.Callback] = []
        self._invoke_transforms: list[callback_pb2.Callback] = []
        self._own_transforms: dict[str, list[callback_pb2.Callback]] = {}
        self._noted: set[str] = set()

    # --- the deployment ------------------------------------------------------------------------------------------

    def ordered_resources(self) -> tuple[Resource, ...]:
        """Return what was registered, in the program's order where that is known."""
        if self.order is None:
            return tuple(self.resources.values())
        arrival = {urn: index for index, urn in enumerate(self.resources)}
        return tuple(
            sorted(self.resources.values(), key=lambda item: (self._places.get(item.urn, 0), arrival[item.urn]))
        )

    def note(self, message: str, urn: str | None = None) -> None:
        """Keep a note for the user, each text once."""
        if message not in self._noted:
            self._noted.add(message)
            self.diagnostics.append(Diagnostic("info", message, urn))

    def _decode(self, struct: Struct) -> dict[str, Any]:
        values = decode(struct)
        return unknown_where_marked(values) if self.recovering else values

    # --- resources -----------------------------------------------------------------------------------------------

    def register_resource(
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse | Awaitable[resource_pb2.RegisterResourceResponse]:
        """Register a resource: run its transforms, check its inputs, give it outputs, keep it."""
        callbacks = self._transforms_for(request)
        taking_part = self.take_part is not None and (request.remote or _is_dynamic(request))
        if callbacks or taking_part:
            return self._register_with_others(request, callbacks)
        return self._register(request)

    def _transforms_for(self, request: resource_pb2.RegisterResourceRequest) -> list[callback_pb2.Callback]:
        callbacks = list(request.transforms)
        if self._own_transforms:
            parent = request.parent
            while parent:
                callbacks.extend(self._own_transforms.get(parent, ()))
                parent = (self.resources[parent].parent or "") if parent in self.resources else ""
        if request.type != STACK_TYPE:
            callbacks.extend(self._stack_transforms)
        return callbacks

    async def _register_with_others(
        self, request: resource_pb2.RegisterResourceRequest, callbacks: list[callback_pb2.Callback]
    ) -> resource_pb2.RegisterResourceResponse:
        if callbacks:
            request = await transform_registration(request, callbacks, self._require_call_back())
        if self.take_part is not None and (request.remote or _is_dynamic(request)):
            answer = await self.take_part(self, request)
            if answer is not None:
                return answer
        return self._register(request)

    def _require_call_back(self) -> CallBack:
        if self.call_back is None:
            raise EngineRefusalError("the program registered a callback, but there is no way to call it back")
        return self.call_back

    def _register(self, request: resource_pb2.RegisterResourceRequest) -> resource_pb2.RegisterResourceResponse:
        source, chain = sources_of(request)
        parent = self.resources.get(request.parent)
        if parent is not None:
            inherit(request, parent)
        urn = make_urn(self.stack, self.project, request.type, request.name, request.parent)
        if urn in self.resources:
            self._report_duplicate(urn, source)
        inputs = self._decode(request.object)
        for path, fault in asset_faults(inputs, self.working_directory):
            problem = Problem(code="PG13", message=f"{path} {fault}.", urn=urn, path=path, source=source)
            if not self.recovering:
                raise RepairableError(f"{request.name}: {path} {fault}", problem)
            self.problems.append(problem)
        if request.type.startswith(PROVIDER_PREFIX):
            self._providers.complete(request, inputs)
        elif _is_dynamic(request) and self.take_part is None:
            inputs = self._check_dynamic(inputs, request, source)
        provider = self._providers.serving(request)
        created = self._create(request, urn, inputs, provider, source)
        outputs = dict(created.outputs)
        for name in request.additionalSecretOutputs:
            if not isinstance(outputs.get(name), Secret):
                outputs[name] = Secret(outputs.get(name, UNKNOWN))
        if request.transforms:
            self._own_transforms[urn] = list(request.transforms)
        self.keep(
            Resource(
                urn=urn,
                type=request.type,
                name=request.name,
                inputs={key: value for key, value in inputs.items() if key != "__provider"},
                outputs=outputs,
                id=created.id,
                custom=request.custom,
                remote=request.remote,
                parent=request.parent or None,
                provider=provider,
                dependencies=tuple(sorted(request.dependencies)),
                property_dependencies={
                    key: tuple(sorted(request.propertyDependencies[key].urns))
                    for key in sorted(request.propertyDependencies)
                    if request.propertyDependencies[key].urns
                },
                options=options_of(request, self.stack, self.project),
                source=source,
                source_chain=chain,
            )
        )
        return resource_pb2.RegisterResourceResponse(
            urn=urn,
            id=created.id if isinstance(created.id, str) else "",
            object=_known(outputs) if request.custom else Struct(),
        )

    def _create(
        self,
        request: resource_pb2.RegisterResourceRequest,
        urn: str,
        inputs: dict[str, Any],
        provider: str | None,
        source: SourceLine | None,
    ) -> Created:
        if not request.custom:
            if request.remote:
                self.note(
                    f"{request.type} is a component that its provider plugin constructs: its children are not seen "
                    "and its outputs are unknown."
                )
            return Created(None, {})
        if request.type.startswith(PROVIDER_PREFIX):
            return Created(UNKNOWN, {key: value for key, value in inputs.items() if key != "__internal"})
        if _is_dynamic(request):
            return Created(UNKNOWN, inputs)
        registration = Registration(
            urn=urn,
            type=request.type,
            name=request.name,
            inputs=inputs,
            project=self.project,
            stack=self.stack,
            custom=request.custom,
            import_id=request.importId or None,
            provider_inputs=self._providers.inputs(provider, package_of(request.type)),
        )
        for fault in self.provider.check(registration):
            self.problems.append(
                Problem(
                    code=fault.code,
                    message=fault.message,
                    urn=urn,
                    path=fault.path,
                    expected=fault.expected,
                    actual=fault.actual,
                    remedy=fault.remedy,
                    source=source,
                )
            )
        return self.provider.create(registration)

    def register_resource_outputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> None:
        """Keep the outputs of a component or of the stack."""
        outputs = self._decode(request.outputs)
        resource = self.resources.get(request.urn)
        if resource is None:
            raise EngineRefusalError(f"outputs registered for a resource that does not exist: {request.urn}")
        if resource.type == STACK_TYPE:
            self.stack_outputs = outputs
        self.resources[request.urn] = replace(resource, outputs=outputs)

    def read_resource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:
        """Answer `Resource.get` and stack references."""
        source, chain = sources_of(request)
        urn = make_urn(self.stack, self.project, request.type, request.name, request.parent)
        if urn in self.resources:
            self._report_duplicate(urn, source)
        inputs = self._decode(request.properties)
        provider = self._providers.serving(request) if request.type != _STACK_REFERENCE else None
        if request.type == _STACK_REFERENCE:
            created = self._read_stack(request, inputs)
        else:
            created = self.provider.read(
                Registration(
                    urn=urn,
                    type=request.type,
                    name=request.name,
                    inputs=inputs,
                    project=self.project,
                    stack=self.stack,
                    import_id=request.id,
                    provider_inputs=self._providers.inputs(provider, package_of(request.type)),
                )
            )
        outputs = dict(created.outputs)
        for name in request.additionalSecretOutputs:
            if not isinstance(outputs.get(name), Secret):
                outputs[name] = Secret(outputs.get(name, UNKNOWN))
        known_id = created.id if isinstance(created.id, str) and created.id != UNKNOWN_SENTINEL else ""
        self.keep(
            Resource(
                urn=urn,
                type=request.type,
                name=request.name,
                inputs=inputs,
                outputs=outputs,
                id=known_id or UNKNOWN,
                external=True,
                parent=request.parent or None,
                provider=provider,
                dependencies=tuple(sorted(request.dependencies)),
                options=Options(
                    additional_secret_outputs=tuple(request.additionalSecretOutputs), version=request.version
                ),
                source=source,
                source_chain=chain,
            )
        )
        return resource_pb2.ReadResourceResponse(urn=urn, id=known_id, properties=_known(outputs))

    def _read_stack(self, request: resource_pb2.ReadResourceRequest, inputs: dict[str, Any]) -> Created:
        name = inputs.get("name")
        answer = self.stack_references.get(name) if isinstance(name, str) else None
        if answer is None:
            self.note(
                f"The outputs of stack {name if isinstance(name, str) else request.name!r} are unknown. "
                f'Settings can answer them: [stack-references."{name if isinstance(name, str) else request.name}"]'
            )
            return Created(request.id, {**inputs, "outputs": UNKNOWN, "secretOutputNames": UNKNOWN})
        return Created(request.id, {**inputs, "outputs": dict(answer), "secretOutputNames": []})

    def exists_resource(self, request: Any) -> Any:
        """Say that the existence of a resource is unknown: only the cloud knows."""
        self.note(f"Whether {request.type} {request.id!r} exists is only known to the cloud: the answer is unknown.")
        return resource_pb2.ExistsResourceResponse(exists=False, unknown=True)

    # --- functions -----------------------------------------------------------------------------------------------

    def invoke(
        self, request: resource_pb2.ResourceInvokeRequest, *, plain: bool = True
    ) -> resource_pb2.ResourceInvokeResponse | Awaitable[resource_pb2.ResourceInvokeResponse]:
        """Answer a function of a provider; `plain` says that the program cannot take an unknown."""
        if self._invoke_transforms and not request.tok.startswith("pulumi:pulumi:"):
            return self._invoke_transformed(request, plain)
        return self._invoke(request, plain)

    async def _invoke_transformed(
        self, request: resource_pb2.ResourceInvokeRequest, plain: bool
    ) -> resource_pb2.ResourceInvokeResponse:
        changed = await transform_invoke(request, self._invoke_transforms, self._require_call_back())
        return self._invoke(changed, plain)

    def _invoke(self, request: resource_pb2.ResourceInvokeRequest, plain: bool) -> resource_pb2.ResourceInvokeResponse:
        arguments = self._decode(request.args)
        if request.tok == "pulumi:pulumi:getResource":
            return self._get_resource(str(arguments.get("urn", "")))
        provider = request.provider.rpartition("::")[0] or self._providers.default(
            package_of(request.tok), request.version, request.pluginDownloadURL, request.packageRef
        )
        inputs = self._providers.inputs(provider, package_of(request.tok))
        answer = self.provider.invoke(request.tok, arguments, inputs, plain=plain)
        if answer.note:
            self.note(answer.note)
        failures = answer.failures
        if failures and answer.value:
            self._refuse_arguments(request.tok, failures)
            failures = ()
        response = resource_pb2.ResourceInvokeResponse(
            failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures]
        )
        if not answer.known:
            response.unknown = True
        else:
            getattr(response, "return").CopyFrom(encode(answer.value))
        return response

    def _refuse_arguments(self, token: str, failures: tuple[tuple[str, str], ...]) -> None:
        # A function that gives a plain value is called from the user's line; one that gives an output is not.
        source = next(iter(chain_of_frames(sys._getframe(1), 1)), None)
        for name, reason in failures:
            problem = Problem(
                code="PG11",
                message=f"{token}: {name} is {reason}.",
                path=name,
                expected="a value",
                actual="absent",
                remedy=f"Set {_python_name(name)}.",
                source=source,
            )
            if not self.recovering:
                raise RepairableError(f"invoke of {token} failed: {name} is {reason}", problem)
            self.problems.append(problem)

    def _get_resource(self, urn: str) -> resource_pb2.ResourceInvokeResponse:
        resource = self.resources.get(urn)
        if resource is None:
            raise EngineRefusalError(f"unknown resource {urn}")
        response = resource_pb2.ResourceInvokeResponse()
        identity = resource.id if isinstance(resource.id, str) else ""
        getattr(response, "return").CopyFrom(encode({"urn": urn, "id": identity, "state": dict(resource.outputs)}))
        return response

    def call(self, request: resource_pb2.ResourceCallRequest) -> provider_pb2.CallResponse:
        """Answer a method of a resource."""
        provider = request.provider.rpartition("::")[0] or self._providers.default(
            package_of(request.tok), request.version, request.pluginDownloadURL, request.packageRef
        )
        answer = self.provider.call(request.tok, self._decode(request.args), provider)
        if answer.note:
            self.note(answer.note)
        response = provider_pb2.CallResponse(
            failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in answer.failures]
        )
        # A call has no flag for "unknown": the SDK takes a result that holds an unknown as unknown as a whole.
        value = answer.value if answer.known else {"result": UNKNOWN}
        getattr(response, "return").CopyFrom(encode(value))
        # Only the provider knows what a result depends on; it is made of the arguments, the resource itself among them.
        found = {urn for dependencies in request.argDependencies.values() for urn in dependencies.urns}
        found.update(*(dependencies_of(argument) for argument in request.args.fields.values()))
        for key in value if found else ():
            response.returnDependencies[key].urns[:] = sorted(found)
        return response

    # --- callbacks, packages, messages ---------------------------------------------------------------------------

    def register_stack_transform(self, callback: callback_pb2.Callback) -> None:
        """Run a transform on every resource registered from now on."""
        self._stack_transforms.append(callback)

    def register_stack_invoke_transform(self, callback: callback_pb2.Callback) -> None:
        """Run a transform on every invoke from now on."""
        self._invoke_transforms.append(callback)

    def register_package(self, request: resource_pb2.RegisterPackageRequest) -> resource_pb2.RegisterPackageResponse:
        """Give a reference for a parameterised package."""
        return resource_pb2.RegisterPackageResponse(ref=self._providers.add_package(request))

    def log(self, request: engine_pb2.LogRequest) -> None:
        """Keep a message of the program."""
        severity = ("debug", "info", "warning", "error")[min(request.severity, 3)]
        if severity != "debug":
            self.diagnostics.append(Diagnostic(severity, request.message, request.urn or None))  # type: ignore[arg-type]

    # --- dynamic providers ---------------------------------------------------------------------------------------

    def _check_dynamic(
        self,
        inputs: dict[str, Any],
        request: resource_pb2.RegisterResourceRequest,
        source: SourceLine | None,
    ) -> dict[str, Any]:
        # Imported here: dill is only needed by programs with dynamic providers.
        from ringfence.engine.dynamic import DynamicProviderError, check_dynamic

        serialised = reveal(inputs.get("__provider"))
        if not isinstance(serialised, str):
            self.note(f"{request.name}: the dynamic provider is unknown, its check did not run.")
            return inputs
        rest = {key: value for key, value in inputs.items() if key != "__provider"}
        try:
            checked = check_dynamic(serialised, rest, self.config, self.project)
        except DynamicProviderError as error:
            raise EngineRefusalError(f"{request.name}: {error}", error.source or source) from None
        if checked.note:
            self.note(f"{request.name}: {checked.note}")
        if checked.failures:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in checked.failures)
            raise EngineRefusalError(
                f"{request.name}: the dynamic provider's check refused the inputs: {reasons}", source
            )
        return {**checked.inputs, "__provider": inputs["__provider"]}

    # --- for those who take part -------------------------------------------------------------------------------------

    def urn_of(self, request: resource_pb2.RegisterResourceRequest) -> str:
        """Return the URN that a registration gets."""
        return make_urn(self.stack, self.project, request.type, request.name, request.parent)

    def provider_inputs(self, request: resource_pb2.RegisterResourceRequest) -> Mapping[str, Any]:
        """Return the inputs of the provider that serves a registration."""
        return self._providers.inputs(self._providers.serving(request), package_of(request.type))

    # --- keeping -------------------------------------------------------------------------------------------------

    def keep(self, resource: Resource) -> None:
        """Make a resource part of the deployment."""
        self.resources[resource.urn] = resource
        if self.order is not None and not resource.default_provider:
            self._places[resource.urn] = self.order(resource.type, resource.name)

    def _report_duplicate(self, urn: str, source: SourceLine | None) -> None:
        first = self.resources[urn]
        where = f", first at line {first.source.line} of {Path(first.source.path).name}" if first.source else ""
        self.problems.append(
            Problem(
                code="PG05",
                message=f"Two resources have the name {first.name!r} and the type {first.type}{where}.",
                urn=urn,
                expected="a name of its own for each resource of a type",
                actual=f"a second {first.name!r}",
                remedy="Give the second resource another name; the engine refuses two resources with one URN.",
                source=source,
            )
        )


def _is_dynamic(request: resource_pb2.RegisterResourceRequest) -> bool:
    return package_of(request.type) in DYNAMIC_PACKAGES


def _python_name(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def _known(outputs: Mapping[str, Any]) -> Struct:
    """Return what to tell the program: in a preview it takes an output that is left out as unknown."""
    return encode({key: value for key, value in outputs.items() if value is not UNKNOWN and value is not None})
