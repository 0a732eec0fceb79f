"""Small programs and the provider that the engine's tests run them against."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi

from ringfence.deployment import UNKNOWN, Deployment, Resource
from ringfence.engine.host import Program, run_program
from ringfence.providers.interface import Answer, Created, InputFault, OutputMode, Registration

HERE = Path(__file__).parent


class EchoProvider:
    """Gives inputs back as outputs; knows ids unless `mode` is unknown. Remembers what it was asked."""

    def __init__(
        self, mode: OutputMode = "synthetic", invokes: Mapping[str, Mapping[str, Any] | Answer] | None = None
    ) -> None:
        self.mode = mode
        self.invokes = invokes or {}
        self.registrations: list[Registration] = []
        self.asked: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
        self.called: list[tuple[str, Mapping[str, Any]]] = []

    def check(self, registration: Registration) -> list[InputFault]:
        self.registrations.append(registration)
        if registration.inputs.get("size") == "wrong":
            return [InputFault("PG02", "size", "wrong is no size", expected="a size", actual="wrong")]
        return []

    def create(self, registration: Registration) -> Created:
        if self.mode == "unknown":
            return Created(registration.import_id or UNKNOWN, registration.inputs)
        return Created(registration.import_id or f"id-{registration.name}", registration.inputs)

    def read(self, registration: Registration) -> Created:
        return Created(registration.import_id, {**registration.inputs, "size": "as read"})

    def invoke(
        self, token: str, arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any], *, plain: bool = True
    ) -> Answer:
        self.asked.append((token, arguments, provider_inputs))
        answer = self.invokes.get(token, {})
        return answer if isinstance(answer, Answer) else Answer(answer)

    def call(self, token: str, arguments: Mapping[str, Any], provider: str | None = None) -> Answer:
        self.called.append((token, arguments))
        if token.endswith("/known"):
            return Answer({"echo": arguments.get("text")})
        return Answer({}, f"{token} is unknown", known=False)


class Thing(pulumi.CustomResource):
    """A resource of a package `test` with the inputs of its keyword arguments."""

    size: pulumi.Output[Any]
    computed: pulumi.Output[Any]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__("test:index:Thing", name, {"size": None, "computed": None, **inputs}, opts)

    @staticmethod
    def get(name: str, id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> Thing:
        return Thing(name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_)))


class Other(pulumi.CustomResource):
    """A resource of another package."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__("other:index:Other", name, inputs, opts)


class Cloud(pulumi.ProviderResource):
    """An explicit provider of the package `test`, or of another."""

    def __init__(
        self, name: str, opts: pulumi.ResourceOptions | None = None, package: str = "test", **inputs: Any
    ) -> None:
        super().__init__(package, name, inputs, opts)


class Group(pulumi.ComponentResource):
    """A component without children."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, type_: str = "test:index:Group") -> None:
        super().__init__(type_, name, {}, opts)


@pulumi.input_type
class TypedArgs:
    """The inputs of `Typed`, as a generated SDK declares them."""

    def __init__(self, *, instance_size: pulumi.Input[str] | None = None, tag_map: Any = None) -> None:
        if instance_size is not None:
            pulumi.set(self, "instance_size", instance_size)
        if tag_map is not None:
            pulumi.set(self, "tag_map", tag_map)

    @property
    @pulumi.getter(name="instanceSize")
    def instance_size(self) -> pulumi.Input[str] | None:
        return pulumi.get(self, "instance_size")

    @property
    @pulumi.getter(name="tagMap")
    def tag_map(self) -> pulumi.Input[dict[str, str]] | None:
        return pulumi.get(self, "tag_map")


class Typed(pulumi.CustomResource):
    """A resource as a generated SDK declares it: snake case in Python, camel case on the wire."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        props = TypedArgs.__new__(TypedArgs)
        props.__dict__.update(instance_size=None, tag_map=None, admin_password=None)
        props.__dict__.update(inputs)
        super().__init__("test:index:Typed", name, props, opts)

    @staticmethod
    def get(name: str, id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> Typed:
        return Typed(name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_)))

    @property
    @pulumi.getter(name="instanceSize")
    def instance_size(self) -> pulumi.Output[str]:
        return pulumi.get(self, "instance_size")

    @property
    @pulumi.getter(name="tagMap")
    def tag_map(self) -> pulumi.Output[dict[str, str]]:
        return pulumi.get(self, "tag_map")

    @property
    @pulumi.getter(name="adminPassword")
    def admin_password(self) -> pulumi.Output[str]:
        return pulumi.get(self, "admin_password")


def rehearse(function: Callable[[], Any], provider: Any = None, **fields: Any) -> Deployment:
    """Run a callable as the stack `dev` of the project `shop`."""
    given = {"folder": HERE, "project": "shop", "stack": "dev", "time_limit": 20.0, **fields}
    return run_program(Program(function=function, **given), provider or EchoProvider())


def rehearse_file(folder: Path, text: str, provider: Any = None, **fields: Any) -> Deployment:
    """Run a program text as `__main__.py` of a folder."""
    main = folder / "__main__.py"
    main.write_text(textwrap.dedent(text))
    given = {"folder": folder, "project": "shop", "stack": "dev", "time_limit": 20.0, **fields}
    return run_program(Program(main=main, **given), provider or EchoProvider())


def named(deployment: Deployment, name: str) -> Resource:
    """Return the one resource of a name; the deployment must have succeeded."""
    assert deployment.error is None, deployment.error
    found = [resource for resource in deployment.resources if resource.name == name]
    assert len(found) == 1, [resource.urn for resource in deployment.resources]
    return found[0]


def urns(deployment: Deployment) -> list[str]:
    """Return what comes after the project in each URN, the stack itself left out."""
    assert deployment.error is None, deployment.error
    return [resource.urn.split("::", 2)[2] for resource in deployment.resources[1:]]


def line_of(path: str | Path, mark: str) -> int:
    """Return the number of the one line of a file that ends in the comment `# line: <mark>`."""
    lines = Path(path).read_text().splitlines()
    found = [number for number, line in enumerate(lines, start=1) if line.endswith(f"# line: {mark}")]
    assert len(found) == 1, found
    return found[0]
