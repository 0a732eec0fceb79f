"""The rule test kit gives a policy what the real server gives it."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from typing import Any

import pulumi
import pytest
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ResourceValidationPolicy,
    StackValidationPolicy,
)

from ringfence.deployment import UNKNOWN, Asset, Options, Resource, Secret
from ringfence.policy.pack import PackError
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence.testing.rule_kit import RuleResult, StackContext, Violation, check_rule, resource
from ringfence_policies import PACK
from tests.unit.policies.cases import build

QUEUE = "aws:sqs/queue:Queue"


def policy(validate: Any, **metadata: Any) -> ResourceValidationPolicy:
    return ResourceValidationPolicy("of-a-test", "A policy of a test", validate=validate, **metadata)


def stack_policy(validate: Any, **metadata: Any) -> StackValidationPolicy:
    return StackValidationPolicy("of-a-test", "A policy of a test", validate=validate, **metadata)


def told(inputs: Any = None, *others: Resource, read: Any, stack: bool = False, **given: Any) -> list[str]:
    """Return what `read` finds in a policy's arguments, as the policy's violations."""

    def validate(args: Any, report_violation: Any) -> None:
        for item in read(args):
            report_violation(str(item))

    made: Policy = stack_policy(validate) if stack else policy(validate)
    result = check_rule(made, inputs, *others, **given)
    assert result.error is None, result
    return result.messages


# --- what a resource policy is given ---------------------------------------------------------------------------------


def test_objects_and_lists_are_the_servers_proxies() -> None:
    inputs = {"tags": {"team": "blue"}, "rules": [{"port": 1}]}

    kinds = told(
        inputs, read=lambda args: [isinstance(args.props["tags"], dict), args.props["rules"] == [{"port": 22}]]
    )
    names = told(inputs, read=lambda args: [type(args.props).__name__, type(args.props["rules"]).__name__])

    assert kinds == ["False", "False"]
    assert names == ["_DictProxy", "_ListProxy"]


def test_numbers_are_doubles() -> None:
    assert told({"port": 443}, read=lambda args: [repr(args.props["port"])]) == ["443.0"]


def test_secrets_are_plain_for_the_policy_and_taken_out_of_what_it_says() -> None:
    lengths = told({"password": Secret("hunter2!")}, read=lambda args: [len(args.props["password"])])
    said = told({"password": Secret("hunter2!")}, read=lambda args: [f"it is {args.props['password']}"])

    assert lengths == ["8"]
    assert said == ["it is [secret]"]


def test_assets_are_pulumis_own() -> None:
    found = told({"code": Asset("text", "x")}, read=lambda args: [isinstance(args.props["code"], pulumi.StringAsset)])

    assert found == ["True"]


def test_an_unknown_stops_the_policy_and_leaves_what_it_said_before() -> None:
    def validate(args: Any, report_violation: Any) -> None:
        report_violation("before")
        report_violation(args.props["rules"][0]["name"])

    result = check_rule(policy(validate), {"rules": [{"name": UNKNOWN}]})

    assert result == RuleResult(Verdict.FAIL, (Violation("before"),), "advisory", "rules.0.name")


def test_an_unknown_alone_is_unknown_whatever_the_level() -> None:
    made = policy(lambda args, _: "port" in args.props, enforcement_level=EnforcementLevel.MANDATORY)

    assert check_rule(made, {"port": UNKNOWN}) == RuleResult(Verdict.UNKNOWN, level="mandatory", unknown="port")


def test_names_options_and_provider() -> None:
    eu = resource("pulumi:providers:aws", {"region": "eu-west-1"}, name="eu")
    group = resource("shop:index:Group", name="group", component=True)
    options = Options(protect=True, ignore_changes=("tags",), custom_timeouts={"create": "1m30s"})
    jobs = resource(QUEUE, {}, name="jobs", parent=group, provider=eu, options=options)

    assert told(
        jobs,
        eu,
        group,
        read=lambda args: [
            args.resource_type,
            args.name,
            args.urn,
            args.opts.protect,
            args.opts.parent,
            list(args.opts.ignore_changes),
            args.opts.custom_timeouts.create_seconds,
            args.provider.name,
            args.provider.props["region"],
        ],
    ) == [
        QUEUE,
        "jobs",
        f"urn:pulumi:stack::project::shop:index:Group${QUEUE}::jobs",
        "True",
        "urn:pulumi:stack::project::shop:index:Group::group",
        "['tags']",
        "90.0",
        "eu",
        "eu-west-1",
    ]


def test_a_resource_has_the_default_provider_of_its_package_and_a_component_has_none() -> None:
    group = resource("shop:index:Group", component=True)

    assert told({}, type=QUEUE, read=lambda args: [args.provider.urn.split("::", 2)[2]]) == [
        "pulumi:providers:aws::default"
    ]
    assert told(group, read=lambda args: [args.provider]) == ["None"]


def test_the_stack_that_it_is_told_of() -> None:
    context = StackContext("shop", "prod", "acme", {"shop:region": "west"}, {"team": "blue"})

    def read(args: Any) -> list[Any]:
        config = pulumi.Config("shop").require("region")
        names = [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization(), os.environ["PULUMI_STACK"]]
        return [*names, config, dict(args.stack_tags), pulumi.runtime.is_dry_run()]

    assert told({}, context=context, read=read) == ["shop", "prod", "acme", "prod", "west", "{'team': 'blue'}", "True"]
    assert told({}, preview=False, read=lambda _: [pulumi.runtime.is_dry_run()]) == ["False"]
    assert "PULUMI_STACK" not in os.environ


def test_what_one_check_sets_the_next_does_not_see() -> None:
    def read(args: Any) -> list[Any]:
        args.props["mine"] = 1
        return [pulumi.Config("shop").get("region"), sorted(args.props)]

    first = told({"a": 1}, context=StackContext("shop", config={"shop:region": "west"}), read=read)
    second = told({"a": 1}, context=StackContext("shop"), read=read)

    assert (first, second) == (["west", "['a', 'mine']"], ["None", "['a', 'mine']"])


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_no_violation_is_a_pass() -> None:
    assert check_rule(policy(lambda *_: None), {}) == RuleResult(Verdict.PASS, level="advisory")


def test_not_applicable_with_its_reason() -> None:
    result = check_rule(policy(lambda args, _: args.not_applicable("not here")), {})

    assert (result.verdict, result.reason) == (Verdict.NOT_APPLICABLE, "not here")


def test_what_a_policy_raises_is_an_error_without_secrets() -> None:
    def validate(args: Any, _: Any) -> None:
        int(args.props["password"])

    result = check_rule(policy(validate), {"password": Secret("hunter2!")})

    assert result.verdict is Verdict.ERROR
    assert isinstance(result.error, ValueError)
    assert result.error_text == "ValueError: invalid literal for int() with base 10: '[secret]'"
    assert "hunter2!" not in repr(result)


def test_coroutines_within_a_running_loop() -> None:
    async def validate(args: Any, report_violation: Any) -> None:
        await asyncio.sleep(0)
        report_violation("later")

    async def test() -> RuleResult:
        return check_rule(policy(validate), {})

    assert asyncio.run(test()).messages == ["later"]
    assert threading.active_count() == 1


def test_the_level_that_the_engine_shows() -> None:
    def level(given: EnforcementLevel | None, **config: Any) -> str:
        return check_rule(policy(lambda *_: None, enforcement_level=given), {}, config=config).level

    assert level(None) == "advisory"
    assert level(EnforcementLevel.REMEDIATE) == "mandatory"
    assert level(EnforcementLevel.DISABLED) == "mandatory"
    assert level(EnforcementLevel.MANDATORY, enforcementLevel="advisory") == "advisory"


# --- config ----------------------------------------------------------------------------------------------------------

SCHEMA = PolicyConfigSchema(properties={"limit": {"type": "integer", "default": 3}, "names": {"type": "array"}})


def test_config_has_defaults_and_goes_by_the_wire() -> None:
    made = policy(lambda args, report: report(repr(sorted(args.get_config().items()))), config_schema=SCHEMA)

    assert check_rule(made, {}).messages == ["[('limit', 3.0)]"]
    assert check_rule(made, {}, config={"names": ["a"]}).messages == ["[('limit', 3.0), ('names', ['a'])]"]


def test_config_that_the_schema_refuses() -> None:
    with pytest.raises(PackError, match=r"of-a-test.limit: 'three' is not of type 'integer'"):
        check_rule(policy(lambda *_: None, config_schema=SCHEMA), {}, config={"limit": "three"})


# --- stacks ----------------------------------------------------------------------------------------------------------


def test_a_stack_policy_is_given_the_whole_stack() -> None:
    dead = resource(QUEUE, {}, name="dead", outputs={"arn": "arn:aws:sqs:x"})
    jobs = resource(QUEUE, {"redrivePolicy": UNKNOWN}, name="jobs", feeds={"redrivePolicy": [dead]}, depends_on=[dead])

    def read(args: Any) -> list[str]:
        return [
            f"{item.name} <{item.parent.name if item.parent else ''}> {[other.name for other in item.dependencies]} "
            f"{ {key: [other.name for other in others] for key, others in item.property_dependencies.items()} }"
            for item in args.resources
        ]

    assert told(jobs, dead, stack=True, read=read) == [
        "project-stack <> [] {}",
        "default <project-stack> [] {}",
        "jobs <project-stack> ['dead'] {'redrivePolicy': ['dead']}",
        "dead <project-stack> [] {}",
    ]


def test_a_stack_policy_reads_outputs_and_names_resources() -> None:
    dead = resource(QUEUE, {}, name="dead", outputs={"arn": "arn:aws:sqs:x"})

    def validate(args: Any, report_violation: Any) -> None:
        for item in args.resources:
            if item.resource_type == QUEUE:
                report_violation(item.props["arn"], item.urn)

    assert check_rule(stack_policy(validate), None, dead).violations == (Violation("arn:aws:sqs:x", dead.urn),)


# --- our own rules ---------------------------------------------------------------------------------------------------

CONFIGURED: dict[str, dict[str, Any]] = {
    "GE01": {"locations": ["westeurope"]},
    "GE02": {"tags": ["owner", "env=dev|prod"]},
}


def judged(rule: Rule, samples: Any) -> Verdict:
    """Return what the kit says of an example."""
    known = {item.urn: item for item in build(samples)}
    made = [
        replace(
            resource(item.type, item.inputs, name=item.name, outputs=item.outputs),
            dependencies=item.dependencies,
            property_dependencies=item.property_dependencies,
            urn=item.urn,
            parent=item.parent,
        )
        for item in known.values()
    ]
    subject = next(item for item in made if not rule.types or item.type in rule.types)
    others = [item for item in made if item is not subject]
    return check_rule(rule, subject, *others, config=CONFIGURED.get(rule.code), preview=False).verdict


def test_a_rules_examples() -> None:
    wrong = []
    for rule in PACK.rules:
        found = judged(rule, rule.bad), judged(rule, rule.good)
        if found != (Verdict.FAIL, Verdict.PASS):
            wrong.append((rule.code, *found))

    assert wrong == []


def test_what_is_no_policy() -> None:
    with pytest.raises(TypeError, match="expected a policy of pulumi_policy or a rule, found 'ST01'"):
        check_rule("ST01", {})  # type: ignore[arg-type]


def test_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="limits: infinity and not-a-number cannot be sent to a policy"):
        check_rule(policy(lambda *_: None), {"limits": [float("inf")]})
