"""Functions, methods of resources, and components that a provider plugin constructs."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi import InvokeOptions, InvokeOutputOptions, ResourceOptions

from ringfence.deployment import UNKNOWN, Diagnostic, ResourceReference, Secret
from ringfence.providers.interface import Answer
from tests.unit.engine.rehearsal import Cloud, EchoProvider, Thing, line_of, named, rehearse

LOOK = "test:index:look"


class Remote(pulumi.ComponentResource):
    """A component that a provider plugin constructs, as a generated SDK declares it."""

    url: pulumi.Output[str]

    def __init__(self, name: str, opts: ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__("test:index:Remote", name, {"url": None, **inputs}, opts, remote=True)


def invoke_output(arguments: dict[str, Any], options: InvokeOutputOptions | None = None) -> pulumi.Output[Any]:
    return pulumi.runtime.invoke_output(LOOK, arguments, options)


def test_plain_functions_answer_at_once() -> None:
    seen: list[Any] = []
    provider = EchoProvider(invokes={LOOK: {"found": [1, {"a": "b"}]}})

    def program() -> None:
        seen.append(pulumi.runtime.invoke(LOOK, {"name": "x", "none": None}).value)

    assert rehearse(program, provider).error is None
    assert seen == [{"found": [1, {"a": "b"}]}]
    assert provider.asked == [(LOOK, {"name": "x"}, {})]


def test_output_functions_wait_for_their_arguments_and_carry_dependencies() -> None:
    provider = EchoProvider(invokes={LOOK: {"found": "it"}})

    def program() -> None:
        thing, other = Thing("thing"), Thing("other")
        found = invoke_output({"id": thing.id}, InvokeOutputOptions(depends_on=[other]))
        Thing("user", found=found["found"])

    deployment = rehearse(program, provider)

    user = named(deployment, "user")
    assert user.inputs == {"found": "it"}
    assert user.property_dependencies == {
        "found": (
            "urn:pulumi:dev::shop::test:index:Thing::other",
            "urn:pulumi:dev::shop::test:index:Thing::thing",
        )
    }
    assert [arguments for _, arguments, _ in provider.asked] == [{"id": "id-thing"}]


def test_functions_of_unknown_arguments_are_unknown_and_not_asked() -> None:
    provider = EchoProvider(invokes={LOOK: {"found": "it"}})

    def program() -> None:
        pulumi.export("found", invoke_output({"id": Thing("thing").computed}))

    assert rehearse(program, provider).outputs == {"found": UNKNOWN}
    assert provider.asked == []


def test_secret_arguments_make_secret_results() -> None:
    provider = EchoProvider(invokes={LOOK: {"found": "it"}})

    def program() -> None:
        pulumi.export("found", invoke_output({"id": pulumi.Output.secret("x")})["found"])

    assert rehearse(program, provider).outputs == {"found": Secret("it")}


def test_an_answer_that_is_not_known_is_unknown_with_its_note() -> None:
    provider = EchoProvider(invokes={LOOK: Answer({}, note="nobody knows", known=False)})

    def program() -> None:
        pulumi.export("found", invoke_output({})["found"]["deep"])

    deployment = rehearse(program, provider)

    assert deployment.outputs == {"found": UNKNOWN}
    assert deployment.diagnostics == (Diagnostic("info", "nobody knows"),)


def test_refused_arguments_fail_the_program_at_the_call() -> None:
    provider = EchoProvider(invokes={LOOK: Answer({}, failures=(("name", "is too long"),))})

    deployment = rehearse(lambda: pulumi.runtime.invoke(LOOK, {"name": "x"}), provider)  # line: invoke

    assert deployment.error is not None
    assert "is too long" in deployment.error.message
    assert deployment.error.source is not None
    assert deployment.error.source.line == line_of(__file__, "invoke")


def test_functions_are_asked_with_their_provider_s_config() -> None:
    provider = EchoProvider()

    def program() -> None:
        cloud = Cloud("cloud", region="north")
        parent = Thing("parent", ResourceOptions(provider=cloud))
        pulumi.runtime.invoke(LOOK, {"by": "default"})
        pulumi.runtime.invoke(LOOK, {"by": "provider"}, InvokeOptions(provider=cloud))
        pulumi.runtime.invoke(LOOK, {"by": "parent"}, InvokeOptions(parent=parent))
        pulumi.runtime.invoke(LOOK, {"by": "version"}, InvokeOptions(version="2.0.0"))

    assert rehearse(program, provider, config={"test:region": "south"}).error is None

    regions = {arguments["by"]: inputs for _, arguments, inputs in provider.asked}
    assert regions == {
        "default": {"region": "south"},
        "provider": {"region": "north"},
        "parent": {"region": "north"},
        "version": {"region": "south", "version": "2.0.0"},
    }


def test_methods_of_resources() -> None:
    provider = EchoProvider()

    def program() -> None:
        thing = Thing("thing")
        known = pulumi.runtime.call("test:index:Thing/known", {"text": thing.id, "__self__": thing}, res=thing)
        Thing("user", echo=known["echo"])
        unknown = pulumi.runtime.call("test:index:Thing/unknown", {}, res=thing)
        pulumi.export("unknown", unknown["echo"])

    deployment = rehearse(program, provider)

    thing = "urn:pulumi:dev::shop::test:index:Thing::thing"
    assert named(deployment, "user").inputs == {"echo": "id-thing"}
    assert named(deployment, "user").property_dependencies == {"echo": (thing,)}
    assert deployment.outputs == {"unknown": UNKNOWN}
    assert deployment.diagnostics == (Diagnostic("info", "test:index:Thing/unknown is unknown"),)
    assert provider.called[0] == (
        "test:index:Thing/known",
        {"text": "id-thing", "__self__": ResourceReference(thing, "id-thing")},
    )


def test_remote_components_are_kept_with_inputs_and_unknown_outputs_and_said_in_a_note() -> None:
    def program() -> None:
        thing = Thing("thing")
        site = Remote("site", size=3, of=thing.id)
        Remote("other")
        Thing("child", ResourceOptions(parent=site), url=site.url)
        pulumi.export("url", site.url)

    deployment = rehearse(program)

    site = named(deployment, "site")
    assert (site.remote, site.custom, site.id, site.inputs) == (True, False, None, {"of": "id-thing", "size": 3})
    assert site.property_dependencies == {"of": ("urn:pulumi:dev::shop::test:index:Thing::thing",)}
    assert site.provider == "urn:pulumi:dev::shop::pulumi:providers:test::default"
    assert named(deployment, "child").inputs == {"url": UNKNOWN}
    assert named(deployment, "child").urn == "urn:pulumi:dev::shop::test:index:Remote$test:index:Thing::child"
    assert deployment.outputs == {"url": UNKNOWN}
    notes = [item.message for item in deployment.diagnostics]
    assert len(notes) == 1
    assert "test:index:Remote is a component that its provider plugin constructs" in notes[0]


@pytest.mark.parametrize("size", ["right", "wrong"])
def test_what_the_provider_finds_wrong_is_a_problem_at_the_line(size: str) -> None:
    def program() -> None:
        Thing("thing", size=size)  # line: checked

    deployment = rehearse(program)

    found = [(item.code, item.path, item.source.line if item.source else 0) for item in deployment.problems]
    expected = line_of(__file__, "checked")
    assert found == ([("PG02", "size", expected)] if size == "wrong" else [])
    assert all(item.urn == named(deployment, "thing").urn for item in deployment.problems)
