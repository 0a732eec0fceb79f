from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Resource, Secret
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Finding, Verdict
from ringfence_policies.azure import containerinstance
from ringfence_policies.azure.containerinstance import CG_PROFILE, GROUP, PROFILE
from tests.unit.policies.cases import Case, build, check, check_examples, run

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
VERSIONED = "azure-native:containerinstance/v20230501:ContainerGroup"
V_PROFILE = "azure-native:containerinstance/v20241101preview:CGProfile"
DIGEST = "sha256:" + "0" * 64
COMPONENT = "example:index:Scorer"


def containers(*items: Any) -> dict[str, Any]:
    return {"containers": list(items)}


def first_and_init(good: dict[str, Any], bad: dict[str, Any]) -> dict[str, Any]:
    """Return a group whose container is good and whose init container is bad."""
    return {"containers": [good], "initContainers": [good, bad]}


def env(*variables: Any) -> dict[str, Any]:
    return {"environmentVariables": list(variables)}


def secured(**context: Any) -> dict[str, Any]:
    return {"securityContext": context}


def sized(requests: Any, limits: Any) -> dict[str, Any]:
    return {"resources": {"requests": requests, "limits": limits}}


def group(name: str, image: Any = "score:1", **inputs: Any) -> Sample:
    return Sample(GROUP, {"containers": [{"image": image}], **inputs}, name=name)


PASSWORD = {"name": "DB_PASSWORD", "value": "hunter2-and-more"}
SECURE = {"name": "DB_PASSWORD", "secureValue": "hunter2-and-more"}
PLAIN = {"name": "MODE", "value": "batch"}
SMALL = {"cpu": 1, "memoryInGB": 2}
GOOD_SIZE = sized(SMALL, SMALL)
BY_PROFILE = {"containerGroupProfile": {"id": "/subscriptions/s/p", "revision": 1}}

# What the rules about containers say of groups whose containers cannot be read.
SHAPES = [
    Case("unknown containers", OPEN, {"containers": UNKNOWN}, path="containers[*]"),
    Case("containers that are no list", FAIL, {"containers": {"name": "app"}}, path="containers"),
    Case("an unknown container", OPEN, containers(UNKNOWN), path="containers[0]"),
    Case("a container that is no object", FAIL, containers("app")),
]
INIT_SHAPES = [
    Case("unknown init containers", OPEN, {"initContainers": UNKNOWN}, path="initContainers[*]"),
    Case("init containers that are no list", FAIL, {"initContainers": "app"}, path="initContainers"),
]

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        containerinstance.no_plain_secrets,
        [
            *SHAPES,
            *INIT_SHAPES,
            Case("pass", PASS, containers(env(PLAIN, SECURE))),
            Case("fail", FAIL, containers(env(PASSWORD)), path="containers[0].environmentVariables[0].value"),
            Case(
                "one bad element",
                FAIL,
                containers(env(PLAIN), env(PLAIN, PASSWORD)),
                path="containers[1].environmentVariables[1].value",
            ),
            Case(
                "init container",
                FAIL,
                first_and_init(env(PLAIN), env(PASSWORD)),
                path="initContainers[1].environmentVariables[0].value",
            ),
            Case("by its value", FAIL, containers(env({"name": "BUS", "value": "Endpoint=x;SharedAccessKey=abcdef"}))),
            Case("marked secret", FAIL, containers(env({"name": "API_KEY", "value": Secret("hunter2")}))),
            Case("a reference", PASS, containers(env({"name": "API_KEY", "secureValueReference": "ref"}))),
            Case("identity", PASS, containers(env({"name": "AZURE_CLIENT_ID", "value": UNKNOWN}))),
            Case("absent", PASS, {}),
            Case("no variables", PASS, containers({"name": "app"})),
            Case("null variable", PASS, containers(env(None))),
            Case("unknown", OPEN, containers(env({"name": "BUS", "value": UNKNOWN}))),
            Case("unknown secure value", PASS, containers(env({"name": "BUS", "secureValue": UNKNOWN}))),
            Case("unknown name", OPEN, containers(env({"name": UNKNOWN, "value": "batch"}))),
            Case("unknown variables", OPEN, containers({"environmentVariables": UNKNOWN})),
            Case("a failure wins over an unknown", FAIL, containers(env(UNKNOWN, PASSWORD))),
            Case("wrong type", FAIL, containers({"environmentVariables": {"MODE": "batch"}})),
            Case("wrong type of a variable", FAIL, containers(env("MODE=batch"))),
            Case("wrong type of a value", FAIL, containers(env({"name": "MODE", "value": ["batch"]}))),
            Case("profile", FAIL, containers(env(PASSWORD)), type=PROFILE),
            Case("versioned", FAIL, containers(env(PASSWORD)), type=VERSIONED),
            Case("versioned profile", FAIL, containers(env(PASSWORD)), type=V_PROFILE),
        ],
    ),
    (
        containerinstance.not_privileged,
        [
            *SHAPES,
            *INIT_SHAPES,
            Case("pass", PASS, containers(secured(privileged=False, allowPrivilegeEscalation=False))),
            Case("fail", FAIL, containers(secured(privileged=True)), path="containers[0].securityContext.privileged"),
            Case(
                "escalation",
                FAIL,
                containers(secured(allowPrivilegeEscalation=True)),
                path="containers[0].securityContext.allowPrivilegeEscalation",
            ),
            Case(
                "one bad element",
                FAIL,
                containers({}, secured(privileged=True)),
                path="containers[1].securityContext.privileged",
            ),
            Case(
                "init container",
                FAIL,
                first_and_init({}, secured(privileged=True)),
                path="initContainers[1].securityContext.privileged",
            ),
            Case("absent", PASS, containers({"name": "app"})),
            Case("unknown", OPEN, containers(secured(privileged=UNKNOWN))),
            Case("unknown context", OPEN, containers({"securityContext": UNKNOWN})),
            Case("a failure wins over an unknown", FAIL, containers(UNKNOWN, secured(privileged=True))),
            Case("wrong type", FAIL, containers(secured(privileged="false"))),
            Case("wrong type of the context", FAIL, containers({"securityContext": [False]})),
            Case("profile", FAIL, containers(secured(privileged=True)), type=CG_PROFILE),
            Case("versioned", FAIL, containers(secured(privileged=True)), type=VERSIONED),
        ],
    ),
    (
        containerinstance.image_pinned,
        [
            *SHAPES,
            *INIT_SHAPES,
            Case("pass", PASS, containers({"image": "example.azurecr.io/score:1.4.2"})),
            Case("digest", PASS, containers({"image": f"example.azurecr.io/score@{DIGEST}"})),
            Case("digest wins over the tag", PASS, containers({"image": f"score:latest@{DIGEST}"})),
            Case("fail", FAIL, containers({"image": "score:latest"}), path="containers[0].image"),
            Case("in capitals", FAIL, containers({"image": "score:LATEST"})),
            Case("no tag", FAIL, containers({"image": "example.azurecr.io/team/score"})),
            Case("a port is no tag", FAIL, containers({"image": "localhost:5000/score"})),
            Case("port and tag", PASS, containers({"image": "localhost:5000/score:1"})),
            Case("empty tag", FAIL, containers({"image": "score:"})),
            Case("empty digest", FAIL, containers({"image": "score:1@"})),
            Case("empty", FAIL, containers({"image": ""})),
            Case("one bad element", FAIL, containers({"image": "a:1"}, {"image": "b"}), path="containers[1].image"),
            Case(
                "init container", FAIL, first_and_init({"image": "a:1"}, {"image": "b"}), path="initContainers[1].image"
            ),
            Case(
                "registry, pass",
                PASS,
                containers({"image": "Example.azurecr.io/a:1"}),
                None,
                {"registries": ["example.azurecr.io"]},
            ),
            Case("registry, fail", FAIL, containers({"image": "a:1"}), None, {"registries": ["example.azurecr.io"]}),
            Case(
                "registry of like name",
                FAIL,
                containers({"image": "example.azurecr.io.evil.com/a:1"}),
                None,
                {"registries": ["example.azurecr.io"]},
            ),
            Case(
                "Docker Hub", PASS, containers({"image": "library/a:1"}), None, {"registries": ["docker.io/library/"]}
            ),
            Case(
                "Docker Hub's other name",
                PASS,
                containers({"image": "index.docker.io/a:1"}),
                None,
                {"registries": ["docker.io"]},
            ),
            Case(
                "folder, fail",
                FAIL,
                containers({"image": "ghcr.io/others/a:1"}),
                None,
                {"registries": ["ghcr.io/acme"]},
            ),
            Case(
                "allowed but not pinned",
                FAIL,
                containers({"image": "ghcr.io/acme/a"}),
                None,
                {"registries": ["ghcr.io/acme"]},
            ),
            Case("absent", FAIL, containers({"name": "app"}), path="containers[0].image"),
            Case("absent, of a profile", PASS, {**containers({"name": "app"}), **BY_PROFILE}),
            Case("not pinned beside a profile", FAIL, {**containers({"image": "a"}), **BY_PROFILE}),
            Case("no containers", PASS, {}),
            Case("unknown", OPEN, containers({"image": UNKNOWN}), path="containers[0].image"),
            Case("unknown, registries given", OPEN, containers({"image": UNKNOWN}), None, {"registries": ["ghcr.io"]}),
            Case("a failure wins over an unknown", FAIL, containers({"image": UNKNOWN}, {"image": "b"})),
            Case("wrong type", FAIL, containers({"image": 7})),
            Case("list", FAIL, containers({"image": ["a:1"]})),
            Case("profile", FAIL, containers({"image": "a"}), type=PROFILE),
            Case("versioned", FAIL, containers({"image": "a"}), type=VERSIONED),
        ],
    ),
    (
        containerinstance.limits,
        [
            *SHAPES,
            Case("pass", PASS, containers(GOOD_SIZE)),
            Case("as text", PASS, containers(sized({"cpu": "0.5", "memoryInGB": "1.5"}, SMALL))),
            Case(
                "no limits",
                FAIL,
                containers({"resources": {"requests": SMALL}}),
                path="containers[0].resources.limits.cpu",
            ),
            Case(
                "no requests",
                FAIL,
                containers({"resources": {"limits": SMALL}}),
                path="containers[0].resources.requests.cpu",
            ),
            Case(
                "no memory limit",
                FAIL,
                containers(sized(SMALL, {"cpu": 1})),
                path="containers[0].resources.limits.memoryInGB",
            ),
            Case(
                "too much CPU",
                FAIL,
                containers(sized(SMALL, {"cpu": 8, "memoryInGB": 2})),
                path="containers[0].resources.limits.cpu",
            ),
            Case("too much memory", FAIL, containers(sized({"cpu": 1, "memoryInGB": 32}, SMALL))),
            Case("nothing", FAIL, containers(sized(SMALL, {"cpu": 0, "memoryInGB": 2}))),
            Case(
                "parameter, pass",
                PASS,
                containers(sized(SMALL, {"cpu": 8, "memoryInGB": 2})),
                parameters={"maximumCpu": 8},
            ),
            Case("parameter, fail", FAIL, containers(GOOD_SIZE), parameters={"maximumMemoryInGB": 1.5}),
            Case("one bad element", FAIL, containers(GOOD_SIZE, {}), path="containers[1].resources.requests.cpu"),
            Case("init containers have none", PASS, {**containers(GOOD_SIZE), "initContainers": [{"image": "a:1"}]}),
            Case("absent", FAIL, containers({"name": "app"})),
            Case("absent, of a profile", PASS, {**containers({"name": "app"}), **BY_PROFILE}),
            Case("no containers", PASS, {}),
            Case("unknown", OPEN, containers(sized(SMALL, {"cpu": UNKNOWN, "memoryInGB": 2}))),
            Case("unknown resources", OPEN, containers({"resources": UNKNOWN})),
            Case("a failure wins over an unknown", FAIL, containers(UNKNOWN, {})),
            Case("wrong type", FAIL, containers(sized(SMALL, {"cpu": True, "memoryInGB": 2}))),
            Case("wrong type of limits", FAIL, containers(sized(SMALL, [SMALL]))),
            Case("profile", FAIL, containers({}), type=PROFILE),
            Case("versioned", FAIL, containers({}), type=VERSIONED),
        ],
    ),
    (
        containerinstance.replica_bounds,
        [
            Case("pass", PASS, group("a").inputs),
            Case("as many as allowed", PASS, group("a").inputs, None, {"maximumGroups": 2}, (group("b"),)),
            Case("too many", FAIL, group("a").inputs, None, {"maximumGroups": 2}, (group("b"), group("c"))),
            Case("too few", FAIL, group("a").inputs, None, {"minimumGroups": 2}),
            Case("others", PASS, group("a").inputs, None, {"maximumGroups": 1}, (group("b", "train:1"),)),
            Case("others do not help", FAIL, group("a").inputs, None, {"minimumGroups": 2}, (group("b", "train:1"),)),
            Case("unknown image", OPEN, group("a").inputs, None, {"maximumGroups": 1}, (group("b", UNKNOWN),)),
            Case("unknown, may be enough", OPEN, group("a").inputs, None, {"minimumGroups": 2}, (group("b", UNKNOWN),)),
            Case("unknown, within bounds", PASS, group("a").inputs, None, {"maximumGroups": 2}, (group("b", UNKNOWN),)),
            Case(
                "unknown, too many known",
                FAIL,
                group("a").inputs,
                None,
                {"maximumGroups": 1},
                (group("b"), group("c", UNKNOWN)),
            ),
            Case("unknown containers", OPEN, {"containers": UNKNOWN}, None, {"maximumGroups": 1}, (group("b"),)),
            Case(
                "other profiles",
                PASS,
                {**containers(), **BY_PROFILE},
                None,
                {"maximumGroups": 1},
                (Sample(GROUP, containers(), name="b"),),
            ),
            Case("absent", PASS, {}),
            Case("wrong type", PASS, {"containers": "score:1"}),
            Case(
                "one bad element",
                FAIL,
                containers({"image": 7}),
                None,
                {"maximumGroups": 1},
                (Sample(GROUP, containers({"image": 7}), name="b"),),
            ),
            Case(
                "lists for images",
                FAIL,
                containers({"image": ["score:1"]}),
                None,
                {"maximumGroups": 1},
                (Sample(GROUP, containers({"image": ["score:1"]}), name="b"),),
            ),
            Case(
                "other lists for images",
                PASS,
                containers({"image": ["score:1"]}),
                None,
                {"maximumGroups": 1},
                (Sample(GROUP, containers({"image": "['score:1']"}), name="b"),),
            ),
            Case("versioned", FAIL, group("a").inputs, None, {"maximumGroups": 1}, (group("b"),), type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", containerinstance.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in containerinstance.RULES] == [rule.code for rule, _ in TABLE]


def in_component(*groups: Sample) -> list[Sample]:
    return [Sample(COMPONENT, {}, name="scorer"), *(replace(sample, parent="scorer") for sample in groups)]


def judge(resources: list[Resource]) -> list[Finding]:
    resources = [replace(resource, custom=resource.type != COMPONENT) for resource in resources]
    return evaluate(resources, Pack("test", "1.0.0", (containerinstance.replica_bounds,)).activate())


def test_groups_of_a_component_are_its_replicas_whatever_they_run() -> None:
    groups = [group(f"g{index}", f"score:{index}") for index in range(11)]

    findings = judge(build(in_component(*groups)))

    assert [finding.verdict for finding in findings] == [FAIL, *[SKIP] * 10]
    assert findings[0].resource == "g0"
    assert findings[0].actual == "11 container groups"
    assert "g0" in findings[1].message


def test_components_are_counted_one_by_one() -> None:
    first = in_component(*[group(f"a{index}") for index in range(6)])
    second = [replace(sample, name=sample.name.replace("a", "b"), parent="other") for sample in first[1:]]

    findings = judge(build([*first, Sample(COMPONENT, {}, name="other"), *second]))

    assert {finding.resource: finding.verdict for finding in findings if finding.verdict is not SKIP} == {
        "a0": PASS,
        "b0": PASS,
    }


def test_a_resource_group_as_parent_is_no_component() -> None:
    parent = Sample("azure-native:resources:ResourceGroup", {}, name="rg")
    groups = [replace(group(f"g{index}", f"score:{index}"), parent="rg") for index in range(11)]

    assert {finding.verdict for finding in judge(build([parent, *groups]))} == {PASS}


def test_groups_that_are_only_read_do_not_count() -> None:
    resources = build([group(f"g{index}") for index in range(11)])

    findings = judge([replace(resource, external=resource.name == "g0") for resource in resources])

    assert [(finding.resource, finding.verdict) for finding in findings][:1] == [("g1", PASS)]
    assert {finding.verdict for finding in findings[1:]} == {SKIP}


def test_no_message_shows_a_value() -> None:
    leaky = [
        PASSWORD,
        {"name": Secret("hunter2-name"), "value": "hunter2-a"},
        {"name": "A", "value": {"hunter2": 1}},
        "hunter2",
    ]

    findings = run(containerinstance.no_plain_secrets, [Sample(GROUP, containers(env(*leaky)))])

    assert {finding.verdict for finding in findings} == {FAIL}
    assert "hunter2" not in repr(findings)
