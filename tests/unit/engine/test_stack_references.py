"""Stack references: answered by the settings, else unknown with a note that says how to answer them."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi

from ringfence.deployment import UNKNOWN, Diagnostic, SourceLine
from tests.unit.engine.rehearsal import Thing, line_of, named, rehearse

NETWORK = {"org/network/prod": {"vpc_id": "vpc-1", "subnets": ["a", "b"], "port": 443, "tls": {"min": 1.2}}}


def test_answers_come_from_the_settings() -> None:
    def program() -> None:
        network = pulumi.StackReference("org/network/prod")
        Thing("thing", vpc=network.get_output("vpc_id"), subnet=network.require_output("subnets")[1])
        pulumi.export("port", network.get_output("port"))
        pulumi.export("tls", network.outputs["tls"])
        pulumi.export("missing", network.get_output("missing"))

    deployment = rehearse(program, stack_references=NETWORK)

    assert named(deployment, "thing").inputs == {"vpc": "vpc-1", "subnet": "b"}
    assert deployment.outputs == {"port": 443, "tls": {"min": 1.2}}
    assert deployment.diagnostics == ()
    reference = named(deployment, "org/network/prod")
    assert (reference.type, reference.external, reference.provider) == ("pulumi:pulumi:StackReference", True, None)


def test_the_reference_may_have_a_name_of_its_own() -> None:
    def program() -> None:
        network = pulumi.StackReference("network", stack_name="org/network/prod")
        pulumi.export("vpc", network.get_output("vpc_id"))

    assert rehearse(program, stack_references=NETWORK).outputs == {"vpc": "vpc-1"}


def test_an_unanswered_reference_is_unknown_and_says_how_to_answer_it() -> None:
    def program() -> None:
        network = pulumi.StackReference("org/network/dev")
        Thing("thing", vpc=network.get_output("vpc_id"), text=pulumi.Output.concat("a-", network.get_output("b")))
        pulumi.export("required", network.require_output("vpc_id"))

    deployment = rehearse(program, stack_references=NETWORK)

    thing = named(deployment, "thing")
    assert thing.inputs == {"vpc": UNKNOWN, "text": UNKNOWN}
    assert thing.property_dependencies["vpc"] == (named(deployment, "org/network/dev").urn,)
    assert deployment.outputs == {"required": UNKNOWN}
    assert deployment.diagnostics == (
        Diagnostic(
            "info",
            "The outputs of stack 'org/network/dev' are unknown. "
            'Settings can answer them: [stack-references."org/network/dev"]',
        ),
    )


def test_a_required_output_that_the_answer_lacks_is_an_error() -> None:
    def program() -> None:
        network = pulumi.StackReference("org/network/prod")
        Thing("thing", vpc=network.require_output("vpc"))  # line: required

    deployment = rehearse(program, stack_references=NETWORK)

    assert deployment.error is not None
    assert deployment.error.message == "KeyError: 'vpc'"
    assert deployment.error.source == SourceLine(__file__, line_of(__file__, "required"))


def details(name: str, key: str, answers: dict[str, Any]) -> tuple[Any, Any]:
    found: list[Any] = []

    async def program() -> None:
        found.append(await pulumi.StackReference(name).get_output_details(key))
        await asyncio.sleep(0)

    deployment = rehearse(program, stack_references=answers)
    assert deployment.error is None
    return found[0].value, found[0].secret_value


def test_output_details() -> None:
    assert details("org/network/prod", "port", NETWORK) == (443, None)
    assert details("org/network/prod", "missing", NETWORK) == (None, None)
    assert details("org/network/dev", "port", NETWORK) == (None, None)
