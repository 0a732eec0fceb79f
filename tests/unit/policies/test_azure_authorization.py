from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import authorization
from ringfence_policies.azure.authorization import BUILT_IN_ROLES, scope_level
from tests.unit.policies.cases import Case, build, check, check_examples

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
VERSIONED = "azure-native:authorization/v20220401:RoleAssignment"
VERSIONED_DEFINITION = "azure-native:authorization/v20220401:RoleDefinition"
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/sa"
MANAGEMENT = "/providers/Microsoft.Management/managementGroups/mg"


def role(name: str, where: str = SUBSCRIPTION) -> dict[str, Any]:
    return {"roleDefinitionId": f"{where}/providers/Microsoft.Authorization/roleDefinitions/{BUILT_IN_ROLES[name]}"}


def made_of(*types: str) -> dict[str, Any]:
    """Say that an unknown scope comes from resources of these types."""
    names = tuple(f"source{index}" for index, _ in enumerate(types))
    return {
        "feeds": {"scope": names},
        "others": tuple(Sample(type_, {}, name=name) for type_, name in zip(types, names, strict=True)),
    }


def permissions(*actions: Any, key: str = "actions") -> dict[str, Any]:
    return {"permissions": [{"actions": ["Microsoft.Web/sites/read"]}, {key: list(actions)}]}


OWN_ROLE = Sample(authorization.DEFINITION, {}, name="role")
OPEN_SCOPE = {"scope": UNKNOWN}
ACCOUNT = "azure-native:storage:StorageAccount"

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        authorization.no_privileged_role,
        [
            Case("pass", PASS, role("AcrPull")),
            Case("without a subscription", PASS, role("AcrPull", "")),
            *(
                Case(f"fail {name}", FAIL, role(name), path="roleDefinitionId")
                for name in (
                    "Owner",
                    "Contributor",
                    "User Access Administrator",
                    "Role Based Access Control Administrator",
                )
            ),
            Case("in capitals", FAIL, {"roleDefinitionId": role("Owner")["roleDefinitionId"].upper()}),
            Case("bare GUID", FAIL, {"roleDefinitionId": BUILT_IN_ROLES["Owner"]}),
            Case("bare name", FAIL, {"roleDefinitionId": "Owner"}),
            Case("no GUID", FAIL, {"roleDefinitionId": f"{SUBSCRIPTION}/roleDefinitions/Some Role"}),
            Case("absent", FAIL, {}, path="roleDefinitionId"),
            Case("unknown", OPEN, {"roleDefinitionId": UNKNOWN}, path="roleDefinitionId"),
            Case(
                "a role of this stack",
                PASS,
                {"roleDefinitionId": UNKNOWN},
                feeds={"roleDefinitionId": ("role",)},
                others=(OWN_ROLE,),
            ),
            Case(
                "a role of this stack and something else",
                OPEN,
                {"roleDefinitionId": UNKNOWN},
                feeds={"roleDefinitionId": ("role", "account")},
                others=(OWN_ROLE, Sample(ACCOUNT, {}, name="account")),
            ),
            Case("parameter by name", FAIL, role("Reader"), parameters={"roles": ["reader"]}),
            Case("parameter by GUID", FAIL, role("Reader"), parameters={"roles": [BUILT_IN_ROLES["Reader"].upper()]}),
            Case("parameter replaces the default", PASS, role("Owner"), parameters={"roles": ["Reader"]}),
            Case("parameter that nobody knows", OPEN, role("Reader"), parameters={"roles": ["Owner", "Emperor"]}),
            Case("wrong type", FAIL, {"roleDefinitionId": 7}),
            Case("list", FAIL, {"roleDefinitionId": [BUILT_IN_ROLES["AcrPull"]]}),
            Case("versioned", FAIL, role("Owner"), type=VERSIONED),
        ],
    ),
    (
        authorization.narrow_scope,
        [
            Case("pass", PASS, {"scope": STORAGE}),
            Case("nested resource", PASS, {"scope": f"{STORAGE}/blobServices/default/containers/c"}),
            Case("in capitals", PASS, {"scope": STORAGE.upper()}),
            Case("fail", FAIL, {"scope": GROUP}, path="scope"),
            Case("subscription", FAIL, {"scope": SUBSCRIPTION}),
            Case("management group", FAIL, {"scope": MANAGEMENT}),
            Case("tenant", FAIL, {"scope": "/"}),
            Case("no id", FAIL, {"scope": "sa"}),
            Case("empty", FAIL, {"scope": ""}),
            Case("absent", FAIL, {}, path="scope"),
            Case("group allowed", PASS, {"scope": GROUP}, parameters={"allowedLevels": ["resource", "resourceGroup"]}),
            Case("subscription allowed", PASS, {"scope": SUBSCRIPTION}, parameters={"allowedLevels": ["subscription"]}),
            Case(
                "management group never",
                FAIL,
                {"scope": MANAGEMENT},
                parameters={"allowedLevels": ["resource", "resourceGroup", "subscription"]},
            ),
            Case("nothing allowed", FAIL, {"scope": STORAGE}, parameters={"allowedLevels": []}),
            Case("unknown", OPEN, OPEN_SCOPE, path="scope"),
            Case("unknown, of a resource", PASS, OPEN_SCOPE, **made_of(ACCOUNT)),
            Case("unknown, of a group", OPEN, OPEN_SCOPE, **made_of(authorization.GROUP)),
            Case(
                "unknown, of a group, both allowed",
                PASS,
                OPEN_SCOPE,
                parameters={"allowedLevels": ["resource", "resourceGroup"]},
                **made_of(authorization.GROUP),
            ),
            Case(
                "unknown, of a management group", FAIL, OPEN_SCOPE, **made_of("azure-native:management:ManagementGroup")
            ),
            Case("unknown, of a subscription", OPEN, OPEN_SCOPE, **made_of("azure-native:subscription:Alias")),
            Case("unknown, of two", OPEN, OPEN_SCOPE, **made_of(authorization.GROUP, ACCOUNT)),
            Case("unknown, of something else", OPEN, OPEN_SCOPE, **made_of("random:index/randomId:RandomId")),
            Case("wrong type", FAIL, {"scope": 7}),
            Case("list", FAIL, {"scope": [STORAGE]}),
            Case("versioned", FAIL, {"scope": GROUP}, type=VERSIONED),
        ],
    ),
    (
        authorization.no_direct_users,
        [
            Case("pass", PASS, {"principalType": "ServicePrincipal"}),
            Case("group", PASS, {"principalType": "Group"}),
            Case("fail", FAIL, {"principalType": "User"}, path="principalType"),
            Case("a group of another tenant", FAIL, {"principalType": "ForeignGroup"}),
            Case("absent", FAIL, {}, path="principalType"),
            Case("unknown", OPEN, {"principalType": UNKNOWN}, path="principalType"),
            Case("wrong type", FAIL, {"principalType": True}),
            Case("list", FAIL, {"principalType": ["Group"]}),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        authorization.no_wildcard_role,
        [
            Case("pass", PASS, permissions("Microsoft.Web/sites/*", "*/read", "Microsoft.Authorization/*/read")),
            Case("one bad element", FAIL, permissions("a/read", "*"), path="permissions[1].actions[1]"),
            Case("write everywhere", FAIL, permissions("*/write")),
            Case("action everywhere", FAIL, permissions("*/action")),
            Case("part of a provider's name", FAIL, permissions("Microsoft.*/write")),
            Case("access", FAIL, permissions("Microsoft.Authorization/*")),
            Case("gives roles", FAIL, permissions("Microsoft.Authorization/roleAssignments/write")),
            Case("makes roles", FAIL, permissions("microsoft.authorization/roledefinitions/write")),
            Case("elevates", FAIL, permissions("Microsoft.Authorization/elevateAccess/action")),
            Case("locks", PASS, permissions("Microsoft.Authorization/locks/write")),
            Case("access, deeper", FAIL, permissions("microsoft.authorization/roleAssignments/*")),
            Case("data actions", FAIL, permissions("*", key="dataActions"), path="permissions[1].dataActions[0]"),
            Case("not actions do not count", PASS, permissions("*", key="notActions")),
            Case("absent", PASS, {}),
            Case("empty permission", PASS, {"permissions": [None, {}]}),
            Case("null action", PASS, permissions(None)),
            Case("unknown", OPEN, {"permissions": UNKNOWN}, path="permissions[*]"),
            Case("one unknown element", OPEN, permissions("a/read", UNKNOWN), path="permissions[1].actions[1]"),
            Case("a failure wins over an unknown", FAIL, permissions(UNKNOWN, "*")),
            Case("wrong type", FAIL, {"permissions": {"actions": ["a/read"]}}, path="permissions"),
            Case("wrong type of a permission", FAIL, {"permissions": ["*/read"]}),
            Case("wrong type of actions", FAIL, {"permissions": [{"actions": "a/read"}]}),
            Case("wrong type of an action", FAIL, permissions(7)),
            Case("versioned", FAIL, permissions("*"), type=VERSIONED_DEFINITION),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", authorization.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in authorization.RULES] == [rule.code for rule, _ in TABLE]


@pytest.mark.parametrize(
    ("scope", "level"),
    [
        ("/", "tenant"),
        (MANAGEMENT, "managementGroup"),
        (SUBSCRIPTION, "subscription"),
        (SUBSCRIPTION + "/", "subscription"),
        (GROUP, "resourceGroup"),
        (STORAGE, "resource"),
        (f"{SUBSCRIPTION}/providers/Microsoft.Insights/logProfiles/default", "resource"),
        ("", None),
        ("sa", None),
        ("/subscriptions", None),
        ("/subscriptions//resourceGroups/rg", None),
        (f"{SUBSCRIPTION}/resourceGroups", None),
        (f"{GROUP}/providers/Microsoft.Storage", None),
        (f"{GROUP}/providers/Microsoft.Storage/storageAccounts", None),
    ],
)
def test_scope_level(scope: str, level: str | None) -> None:
    assert scope_level(scope) == level


def test_a_role_that_the_stack_only_reads_may_be_built_in() -> None:
    assignment = Sample(authorization.ASSIGNMENT, {"roleDefinitionId": UNKNOWN}, feeds={"roleDefinitionId": ("role",)})
    resources = [replace(resource, external=resource.name == "role") for resource in build([assignment, OWN_ROLE])]

    findings = evaluate(resources, Pack("test", "1.0.0", (authorization.no_privileged_role,)).activate())

    assert [finding.verdict for finding in findings] == [OPEN]
