from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import authorization, authorization_graph
from ringfence_policies.azure.authorization import ASSIGNMENT, BUILT_IN_ROLES, DEFINITION
from ringfence_policies.azure.authorization_graph import IDENTITY, WEB_APP
from tests.unit.policies.cases import Case, build, check, check_examples

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
VERSIONED = "azure-native:authorization/v20220401:RoleAssignment"
GUID = "11111111-1111-4111-8111-111111111111"
OTHER_GUID = "22222222-2222-4222-8222-222222222222"
GROUP = "/subscriptions/s/resourceGroups/rg"
QUEUE = f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/ns/queues/q"
TOPIC = "azure-native:eventgrid:SystemTopic"
QUEUE_TYPE = "azure-native:servicebus:Queue"


def assign(role: Any, principal: Any = UNKNOWN, kind: Any = None, scope: Any = QUEUE) -> dict[str, Any]:
    id_ = (
        f"/providers/Microsoft.Authorization/roleDefinitions/{BUILT_IN_ROLES[role]}" if isinstance(role, str) else role
    )
    inputs = {"roleDefinitionId": id_, "principalId": principal, "principalType": kind, "scope": scope}
    return {key: value for key, value in inputs.items() if value is not None}


def bus(role: str, *args: Any) -> dict[str, Any]:
    return assign(f"Azure Service Bus Data {role}", *args)


def of(*names: str) -> Mapping[str, tuple[str, ...]]:
    return {"principalId": names}


APP = Sample(WEB_APP, {"identity": {"type": "SystemAssigned"}}, name="app")
SECOND = replace(APP, name="second")
TENANT = Sample("azuread:index/group:Group", {}, name="team")
POLICY = Sample("azure-native:authorization:PolicyAssignment", {"identity": {"type": "SystemAssigned"}}, name="policy")
TOPICS = Sample(TOPIC, {"identity": {"type": "SystemAssigned"}}, name="topics")
OWN_ROLE = Sample(DEFINITION, {}, name="role")
# Workloads whose principal ids are known, as with synthetic outputs.
KNOWN_APP = replace(APP, outputs={"identity": {"principalId": GUID.upper()}})
KNOWN_IDENTITY = Sample(IDENTITY, {}, name="identity", outputs={"principalId": GUID})
KNOWN_ASSIGNED = replace(
    APP, outputs={"identity": {"userAssignedIdentities": {"/id": {"principalId": GUID}, "/unknown": UNKNOWN}}}
)
UNKNOWN_ROLE: dict[str, Any] = {**of("app"), "roleDefinitionId": ("role",)}

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        authorization_graph.one_way_data_role,
        [
            Case("pass", PASS, bus("Sender"), feeds=of("app"), others=(APP,)),
            Case("receiver", PASS, bus("Receiver"), feeds=of("app"), others=(APP,)),
            Case("another role", SKIP, assign("AcrPull"), feeds=of("app"), others=(APP,)),
            Case("fail", FAIL, bus("Owner"), "roleDefinitionId", feeds=of("app"), others=(APP,)),
            Case(
                "the SDK's default principal type", FAIL, bus("Owner", UNKNOWN, "User"), feeds=of("app"), others=(APP,)
            ),
            Case("one of two workloads", FAIL, bus("Owner"), feeds=of("app", "second"), others=(APP, SECOND)),
            Case("of an identity", FAIL, bus("Owner"), feeds=of("identity"), others=(KNOWN_IDENTITY,)),
            Case("by value", FAIL, bus("Owner", GUID), others=(KNOWN_APP,)),
            Case("service principal of elsewhere", FAIL, bus("Owner", GUID, "ServicePrincipal")),
            Case("unknown service principal", FAIL, bus("Owner", UNKNOWN, "ServicePrincipal")),
            Case("group", SKIP, bus("Owner", GUID, "Group")),
            Case("user", SKIP, bus("Owner", GUID, "User")),
            Case("absent principal type", OPEN, bus("Owner", GUID), path="principalId"),
            Case("unknown principal type", OPEN, bus("Owner", GUID, UNKNOWN), path="principalId"),
            Case(
                "workload or group", OPEN, bus("Owner", UNKNOWN, "Group"), feeds=of("app", "team"), others=(APP, TENANT)
            ),
            Case("Event Grid sends", PASS, bus("Sender"), feeds=of("topics"), others=(TOPICS,)),
            Case(
                "Event Grid does not receive",
                FAIL,
                bus("Receiver"),
                "roleDefinitionId",
                feeds=of("topics"),
                others=(TOPICS,),
            ),
            Case("producer, pass", PASS, bus("Sender"), None, {"producers": ["app*"]}, (APP,), of("app")),
            Case("producer, fail", FAIL, bus("Receiver"), None, {"producers": ["app*"]}, (APP,), of("app")),
            Case("consumer, pass", PASS, bus("Receiver"), None, {"consumers": ["app"]}, (APP,), of("app")),
            Case("consumer, fail", FAIL, bus("Sender"), None, {"consumers": ["app"]}, (APP,), of("app")),
            Case("both", PASS, bus("Sender"), None, {"consumers": ["app"], "producers": ["app"]}, (APP,), of("app")),
            Case("another name", PASS, bus("Sender"), None, {"consumers": ["ap"]}, (APP,), of("app")),
            Case(
                "perhaps the consumer",
                OPEN,
                bus("Sender"),
                "principalId",
                {"consumers": ["app"]},
                (APP, SECOND),
                of("app", "second"),
            ),
            Case(
                "perhaps a group",
                OPEN,
                bus("Sender"),
                "principalId",
                {"consumers": ["app"]},
                (APP, TENANT),
                of("app", "team"),
            ),
            Case("unknown", OPEN, assign(UNKNOWN), "roleDefinitionId", feeds=of("app"), others=(APP,)),
            Case("a role of this stack", SKIP, assign(UNKNOWN), feeds=UNKNOWN_ROLE, others=(APP, OWN_ROLE)),
            Case("absent", SKIP, {}),
            Case("wrong type", SKIP, assign(7)),
            Case("list", SKIP, assign([BUILT_IN_ROLES["Azure Service Bus Data Owner"]])),
            Case("wrong type of the principal", OPEN, bus("Owner", 7)),
            Case("one bad element among sources", FAIL, bus("Owner"), feeds=of("app"), others=(APP, SECOND, TENANT)),
            Case("versioned", FAIL, bus("Owner"), feeds=of("app"), others=(APP,), type=VERSIONED),
        ],
    ),
    (
        authorization_graph.no_duplicates,
        [
            Case("pass", PASS, assign("AcrPull", GUID)),
            Case(
                "of two the first passes",
                PASS,
                assign("AcrPull", GUID),
                others=(Sample(ASSIGNMENT, assign("AcrPull", GUID), name="b"),),
            ),
            Case("absent", PASS, {}, others=(Sample(ASSIGNMENT, {}, name="b"),)),
            Case("unknown", PASS, assign(UNKNOWN)),
            Case("wrong type", PASS, assign(7, 7)),
            Case("versioned", PASS, assign("AcrPull", GUID), type=VERSIONED),
        ],
    ),
    (
        authorization_graph.workload_no_admin,
        [
            Case("pass", PASS, assign("AcrPull"), feeds=of("app"), others=(APP,)),
            *(
                Case(f"fail {name}", FAIL, assign(name), "roleDefinitionId", feeds=of("app"), others=(APP,))
                for name in (
                    "Owner",
                    "Contributor",
                    "User Access Administrator",
                    "Role Based Access Control Administrator",
                )
            ),
            *(
                Case(
                    f"fail of {type_}",
                    FAIL,
                    assign("Owner"),
                    feeds=of("x"),
                    others=(Sample(f"azure-native:{type_}", {}, name="x"),),
                )
                for type_ in (
                    "containerinstance:ContainerGroup",
                    "machinelearningservices:Workspace",
                    "machinelearningservices:OnlineEndpoint",
                    "managedidentity:UserAssignedIdentity",
                )
            ),
            Case(
                "a versioned workload",
                FAIL,
                assign("Owner"),
                feeds=of("x"),
                others=(Sample("azure-native:web/v20230101:WebApp", {}, name="x"),),
            ),
            Case(
                "role by name", FAIL, {**assign("Owner"), "roleDefinitionId": "owner"}, feeds=of("app"), others=(APP,)
            ),
            Case("known id and dependency", FAIL, assign("Owner", OTHER_GUID), feeds=of("app"), others=(APP,)),
            Case("by value", FAIL, assign("Owner", GUID), others=(KNOWN_APP,)),
            Case("by value of an identity", FAIL, assign("Owner", GUID.upper()), others=(KNOWN_IDENTITY,)),
            Case("by value of an assigned identity", FAIL, assign("Owner", GUID), others=(KNOWN_ASSIGNED,)),
            Case(
                "by value, of something else too",
                FAIL,
                assign("Owner", Secret(GUID)),
                feeds=of("team"),
                others=(KNOWN_APP, TENANT),
            ),
            Case("another id", SKIP, assign("Owner", OTHER_GUID), others=(KNOWN_APP,)),
            Case("a group", SKIP, assign("Owner"), feeds=of("team"), others=(APP, TENANT)),
            Case("a policy needs it", SKIP, assign("Contributor"), feeds=of("policy"), others=(POLICY,)),
            Case(
                "a workload or a group",
                OPEN,
                assign("Owner"),
                "principalId",
                feeds=of("app", "team"),
                others=(APP, TENANT),
            ),
            Case(
                "a workload or a group, no admin",
                PASS,
                assign("AcrPull"),
                feeds=of("app", "team"),
                others=(APP, TENANT),
            ),
            Case("two workloads", FAIL, assign("Owner"), feeds=of("app", "second"), others=(APP, SECOND)),
            Case("parameter", FAIL, assign("Reader"), None, {"roles": ["Reader"]}, (APP,), of("app")),
            Case(
                "parameter replaces the default", PASS, assign("Owner"), None, {"roles": ["Reader"]}, (APP,), of("app")
            ),
            Case("parameter that nobody knows", OPEN, assign("Owner"), None, {"roles": ["Emperor"]}, (APP,), of("app")),
            Case("absent", SKIP, {}),
            Case("absent role", PASS, {"principalId": UNKNOWN}, feeds=of("app"), others=(APP,)),
            Case("unknown", OPEN, assign("Owner"), path="principalId", others=(APP,)),
            Case("unknown, no admin", PASS, assign("AcrPull")),
            Case("unknown role", OPEN, assign(UNKNOWN), "roleDefinitionId", feeds=of("app"), others=(APP,)),
            Case("a role of this stack", PASS, assign(UNKNOWN), feeds=UNKNOWN_ROLE, others=(APP, OWN_ROLE)),
            Case("wrong type", SKIP, assign("Owner", 7), others=(KNOWN_APP,)),
            Case("list", SKIP, assign("Owner", [GUID]), others=(KNOWN_APP,)),
            Case("wrong type of the role", PASS, assign(7), feeds=of("app"), others=(APP,)),
            Case("versioned", FAIL, assign("Owner"), feeds=of("app"), others=(APP,), type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", authorization_graph.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in authorization_graph.RULES] == [rule.code for rule, _ in TABLE]


SCOPED = {"principalId": ("app",), "scope": ("queue",)}
OPEN_BOTH = assign("AcrPull", UNKNOWN, None, UNKNOWN)
SECOND_OF_TWO: list[tuple[str, Verdict, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("the same", FAIL, assign("AcrPull", GUID), {}, assign("AcrPull", GUID), {}),
    ("principal type does not count", FAIL, assign("AcrPull", GUID, "Group"), {}, assign("AcrPull", GUID), {}),
    ("secret", FAIL, assign("AcrPull", Secret(GUID)), {}, assign("AcrPull", GUID), {}),
    (
        "case does not count",
        FAIL,
        assign("AcrPull", GUID.upper(), None, QUEUE.upper() + "/"),
        {},
        assign("AcrPull", GUID),
        {},
    ),
    ("role by name", FAIL, {**assign("AcrPull", GUID), "roleDefinitionId": "AcrPull"}, {}, assign("AcrPull", GUID), {}),
    ("another role", PASS, assign("Reader", GUID), {}, assign("AcrPull", GUID), {}),
    ("another scope", PASS, assign("AcrPull", GUID, None, GROUP), {}, assign("AcrPull", GUID), {}),
    ("another principal", PASS, assign("AcrPull", OTHER_GUID), {}, assign("AcrPull", GUID), {}),
    ("unknown principals", OPEN, assign("AcrPull"), {}, assign("AcrPull"), {}),
    ("unknown and known", OPEN, assign("AcrPull", GUID), {}, assign("AcrPull"), {}),
    ("unknown, another role", PASS, assign("Reader"), {}, assign("AcrPull"), {}),
    ("of one app and queue", OPEN, OPEN_BOTH, SCOPED, OPEN_BOTH, SCOPED),
    ("of two apps", PASS, OPEN_BOTH, SCOPED, OPEN_BOTH, {**SCOPED, **of("second")}),
    ("of two queues", PASS, OPEN_BOTH, SCOPED, OPEN_BOTH, {**SCOPED, "scope": ("queue2",)}),
    ("absent", PASS, {}, {}, {}, {}),
    ("absent and unknown", PASS, assign("AcrPull"), {}, {**assign("AcrPull"), "principalId": None}, {}),
    ("wrong type", PASS, assign("AcrPull", 7), {}, assign("AcrPull", 7), {}),
]


@pytest.mark.parametrize(
    ("verdict", "first", "first_feeds", "second", "second_feeds"),
    [pytest.param(*row[1:], id=row[0]) for row in SECOND_OF_TWO],
)
def test_the_second_of_two_assignments(
    verdict: Verdict,
    first: dict[str, Any],
    first_feeds: dict[str, Any],
    second: dict[str, Any],
    second_feeds: dict[str, Any],
) -> None:
    stack = [
        APP,
        SECOND,
        Sample(QUEUE_TYPE, {}, name="queue"),
        Sample(QUEUE_TYPE, {}, name="queue2"),
        Sample(ASSIGNMENT, first, name="first", feeds=first_feeds),
        Sample(VERSIONED, second, name="again", feeds=second_feeds),
    ]
    resources = build(stack)

    findings = evaluate(resources, Pack("test", "1.0.0", (authorization_graph.no_duplicates,)).activate())

    assert [(finding.resource, finding.verdict) for finding in findings] == [("first", PASS), ("again", verdict)]


def test_a_duplicate_names_the_first() -> None:
    stack = [Sample(ASSIGNMENT, assign("AcrPull", GUID), name=name) for name in ("first", "second", "third")]

    findings = evaluate(build(stack), Pack("test", "1.0.0", (authorization_graph.no_duplicates,)).activate())

    assert [finding.verdict for finding in findings] == [PASS, FAIL, FAIL]
    assert "first" in findings[2].message


def test_both_rules_on_administrator_roles_refuse_the_same_roles() -> None:
    own = authorization.no_privileged_role.parameters

    assert own == authorization_graph.workload_no_admin.parameters
