from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import machinelearningservices
from ringfence_policies.azure.machinelearningservices import ENDPOINT
from tests.unit.policies.cases import Case, check, check_examples, run

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
V_COMPUTE = "azure-native:machinelearningservices/v20240401:Compute"
V_ENDPOINT = "azure-native:machinelearningservices/v20240401:OnlineEndpoint"
V_DEPLOYMENT = "azure-native:machinelearningservices/v20240401:OnlineDeployment"
V_WORKSPACE = "azure-native:machinelearningservices/v20240401:Workspace"


def compute(kind: Any, inner: Any = None, **properties: Any) -> dict[str, Any]:
    nested = {} if inner is None else {"properties": inner}
    return {"properties": {"computeType": kind, **properties, **nested}}


def cluster(**inner: Any) -> dict[str, Any]:
    return compute("AmlCompute", inner)


def instance(**inner: Any) -> dict[str, Any]:
    return compute("ComputeInstance", inner)


def nodes(count: Any) -> dict[str, Any]:
    return cluster(scaleSettings={"maxNodeCount": count})


def endpoint(**properties: Any) -> dict[str, Any]:
    return {"properties": properties}


def managed(capacity: Any, **properties: Any) -> dict[str, Any]:
    return {
        "sku": {"name": "default", "capacity": capacity},
        "properties": {"endpointComputeType": "Managed", **properties},
    }


def kubernetes(scale: Any = None, **inputs: Any) -> dict[str, Any]:
    settings = {} if scale is None else {"scaleSettings": scale}
    return {"properties": {"endpointComputeType": "Kubernetes", **settings}, **inputs}


def target(**settings: Any) -> dict[str, Any]:
    return {"scaleType": "TargetUtilization", **settings}


CLOSED = {"enableNodePublicIp": False, "remoteLoginPortPublicAccess": "Disabled"}

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        machinelearningservices.compute_no_local_auth,
        [
            Case("pass", PASS, compute("AmlCompute", disableLocalAuth=True)),
            Case("fail", FAIL, compute("AmlCompute", disableLocalAuth=False), path="properties.disableLocalAuth"),
            Case("instance", FAIL, compute("ComputeInstance", disableLocalAuth=False)),
            Case("absent", FAIL, compute("AmlCompute"), path="properties.disableLocalAuth"),
            Case("nothing at all", FAIL, {}),
            Case("one level too deep", FAIL, cluster(disableLocalAuth=True)),
            Case("attached", SKIP, compute("Kubernetes")),
            Case("attached, of old", SKIP, compute("Databricks", disableLocalAuth=False)),
            Case("unknown", OPEN, compute("AmlCompute", disableLocalAuth=UNKNOWN), path="properties.disableLocalAuth"),
            Case("unknown type", OPEN, compute(UNKNOWN), path="properties.computeType"),
            Case("unknown type, good anyway", PASS, compute(UNKNOWN, disableLocalAuth=True)),
            Case("unknown properties", OPEN, {"properties": UNKNOWN}),
            Case("wrong type", FAIL, compute("AmlCompute", disableLocalAuth="true")),
            Case("wrong type of the properties", FAIL, {"properties": [{"disableLocalAuth": True}]}),
            Case("versioned", FAIL, compute("AmlCompute"), type=V_COMPUTE),
        ],
    ),
    (
        machinelearningservices.compute_node_bound,
        [
            Case("pass", PASS, nodes(4)),
            Case("a float on the wire", PASS, nodes(4.0)),
            Case("as many as allowed", PASS, nodes(20)),
            Case("fail", FAIL, nodes(21), path="properties.properties.scaleSettings.maxNodeCount"),
            Case("parameter, pass", PASS, nodes(100), parameters={"maximumNodes": 100}),
            Case("parameter, fail", FAIL, nodes(4), parameters={"maximumNodes": 3}),
            Case("absent", FAIL, compute("AmlCompute"), path="properties.properties.scaleSettings.maxNodeCount"),
            Case("not where it belongs", FAIL, compute("AmlCompute", scaleSettings={"maxNodeCount": 4})),
            Case("no cluster", SKIP, compute("ComputeInstance")),
            Case("other case", FAIL, compute("amlcompute")),
            Case("unknown", OPEN, nodes(UNKNOWN), path="properties.properties.scaleSettings.maxNodeCount"),
            Case("unknown type", OPEN, compute(UNKNOWN), path="properties.computeType"),
            Case("unknown inner properties", OPEN, compute("AmlCompute", UNKNOWN)),
            Case("negative", FAIL, nodes(-1)),
            Case("wrong type", FAIL, nodes("many")),
            Case("wrong type of the settings", FAIL, cluster(scaleSettings=4)),
            Case("versioned", FAIL, nodes(100), type=V_COMPUTE),
        ],
    ),
    (
        machinelearningservices.compute_not_public,
        [
            Case("pass", PASS, cluster(**CLOSED)),
            Case(
                "address",
                FAIL,
                cluster(**{**CLOSED, "enableNodePublicIp": True}),
                path="properties.properties.enableNodePublicIp",
            ),
            Case(
                "port",
                FAIL,
                cluster(**{**CLOSED, "remoteLoginPortPublicAccess": "Enabled"}),
                path="properties.properties.remoteLoginPortPublicAccess",
            ),
            Case("port not specified", FAIL, cluster(**{**CLOSED, "remoteLoginPortPublicAccess": "NotSpecified"})),
            Case("absent", FAIL, compute("AmlCompute"), path="properties.properties.remoteLoginPortPublicAccess"),
            Case(
                "absent address",
                FAIL,
                cluster(remoteLoginPortPublicAccess="Disabled"),
                path="properties.properties.enableNodePublicIp",
            ),
            Case(
                "instance, pass", PASS, instance(enableNodePublicIp=False, sshSettings={"sshPublicAccess": "Disabled"})
            ),
            Case("instance, absent settings", PASS, instance(enableNodePublicIp=False)),
            Case(
                "instance, port",
                FAIL,
                instance(enableNodePublicIp=False, sshSettings={"sshPublicAccess": "Enabled"}),
                path="properties.properties.sshSettings.sshPublicAccess",
            ),
            Case("instance, absent address", FAIL, instance(), path="properties.properties.enableNodePublicIp"),
            Case("attached", SKIP, compute("Kubernetes")),
            Case("unknown", OPEN, cluster(**{**CLOSED, "enableNodePublicIp": UNKNOWN})),
            Case("unknown type", OPEN, compute(UNKNOWN, CLOSED), path="properties.computeType"),
            Case(
                "a failure wins over an unknown",
                FAIL,
                cluster(enableNodePublicIp=True, remoteLoginPortPublicAccess=UNKNOWN),
            ),
            Case("wrong type", FAIL, cluster(**{**CLOSED, "enableNodePublicIp": "false"})),
            Case("wrong type of the inner properties", FAIL, compute("AmlCompute", [CLOSED])),
            Case("versioned", FAIL, compute("AmlCompute"), type=V_COMPUTE),
        ],
    ),
    (
        machinelearningservices.endpoint_no_keys,
        [
            Case("pass", PASS, endpoint(authMode="AADToken")),
            Case("tolerated", PASS, endpoint(authMode="AMLToken")),
            Case("strict", FAIL, endpoint(authMode="AMLToken"), parameters={"strict": True}),
            Case("strict, pass", PASS, endpoint(authMode="AADToken"), parameters={"strict": True}),
            Case("fail", FAIL, endpoint(authMode="Key"), path="properties.authMode"),
            Case("absent", FAIL, {}, path="properties.authMode"),
            Case("unknown", OPEN, endpoint(authMode=UNKNOWN), path="properties.authMode"),
            Case("wrong type", FAIL, endpoint(authMode=True)),
            Case("list", FAIL, endpoint(authMode=["AADToken"])),
            Case("versioned", FAIL, endpoint(authMode="Key"), type=V_ENDPOINT),
        ],
    ),
    (
        machinelearningservices.endpoint_identity,
        [
            Case("pass", PASS, {"identity": {"type": "SystemAssigned"}}),
            Case("user-assigned", PASS, {"identity": {"type": "UserAssigned"}}),
            Case("both", PASS, {"identity": {"type": "SystemAssigned,UserAssigned"}}),
            Case("fail", FAIL, {"identity": {"type": "None"}}, path="identity.type"),
            Case("absent", FAIL, {}, path="identity.type"),
            Case("unknown", OPEN, {"identity": UNKNOWN}, path="identity.type"),
            Case("wrong type", FAIL, {"identity": "SystemAssigned"}),
            Case("list", FAIL, {"identity": {"type": ["SystemAssigned"]}}),
            Case("versioned", FAIL, {}, type=V_ENDPOINT),
        ],
    ),
    (
        machinelearningservices.endpoint_traffic,
        [
            Case("pass", PASS, endpoint(traffic={"blue": 90, "green": 10})),
            Case("all to none", PASS, endpoint(traffic={"blue": 0, "green": 0})),
            Case("empty", PASS, endpoint(traffic={})),
            Case("floats on the wire", PASS, endpoint(traffic={"blue": 90.0, "green": 10.0})),
            Case("too much", FAIL, endpoint(traffic={"blue": 90, "green": 20}), path="properties.traffic"),
            Case("too little", FAIL, endpoint(traffic={"blue": 90}), path="properties.traffic"),
            Case(
                "one bad element", FAIL, endpoint(traffic={"blue": 150, "green": -50}), path="properties.traffic.green"
            ),
            Case("a fraction", FAIL, endpoint(traffic={"blue": 99.5, "green": 0.5}), path="properties.traffic.blue"),
            Case("mirror", PASS, endpoint(mirrorTraffic={"green": 50})),
            Case("mirror too much", FAIL, endpoint(mirrorTraffic={"green": 51}), path="properties.mirrorTraffic"),
            Case(
                "mirror to two", FAIL, endpoint(mirrorTraffic={"green": 10, "red": 10}), path="properties.mirrorTraffic"
            ),
            Case("mirror to one of two", PASS, endpoint(mirrorTraffic={"green": 10, "red": 0})),
            Case("absent", PASS, endpoint()),
            Case("null element", PASS, endpoint(traffic={"blue": 100, "green": None})),
            Case("unknown", OPEN, endpoint(traffic=UNKNOWN)),
            Case(
                "one unknown element",
                OPEN,
                endpoint(traffic={"blue": 90, "green": UNKNOWN}),
                path="properties.traffic.green",
            ),
            Case("too much already", FAIL, endpoint(traffic={"blue": 90, "green": 20, "red": UNKNOWN})),
            Case("mirror unknown", OPEN, endpoint(mirrorTraffic={"green": UNKNOWN})),
            Case("wrong type", FAIL, endpoint(traffic=100)),
            Case("list", FAIL, endpoint(traffic=[90, 10])),
            Case("wrong type of an element", FAIL, endpoint(traffic={"blue": "all"}), path="properties.traffic.blue"),
            Case("versioned", FAIL, endpoint(traffic={"blue": 90}), type=V_ENDPOINT),
        ],
    ),
    (
        machinelearningservices.deployment_scale_bounds,
        [
            Case("pass", PASS, managed(2)),
            Case("default scaling", PASS, managed(2, scaleSettings={"scaleType": "Default"})),
            Case("too many", FAIL, managed(21), path="sku.capacity"),
            Case("none", FAIL, managed(0), path="sku.capacity"),
            Case("parameters, pass", PASS, managed(50), parameters={"maximumInstances": 50}),
            Case("parameters, fail", FAIL, managed(1), parameters={"minimumInstances": 2}),
            Case("absent", FAIL, {}, path="sku.capacity"),
            Case("absent capacity", FAIL, {"properties": {"endpointComputeType": "Managed"}}, path="sku.capacity"),
            Case(
                "scale settings do not scale a managed one",
                FAIL,
                managed(None, scaleSettings=target(maxInstances=4)),
                path="sku.capacity",
            ),
            Case("Kubernetes, absent", PASS, kubernetes()),
            Case("Kubernetes, default scaling", FAIL, kubernetes({"scaleType": "Default"}), path="sku.capacity"),
            Case(
                "Kubernetes, default scaling with capacity",
                PASS,
                kubernetes({"scaleType": "Default"}, sku={"capacity": 2}),
            ),
            Case(
                "Kubernetes, bounds",
                PASS,
                kubernetes(target(minInstances=1, maxInstances=4, targetUtilizationPercentage=70)),
            ),
            Case("Kubernetes, service's defaults", PASS, kubernetes(target())),
            Case(
                "Kubernetes, too many",
                FAIL,
                kubernetes(target(maxInstances=100)),
                path="properties.scaleSettings.maxInstances",
            ),
            Case(
                "Kubernetes, none",
                FAIL,
                kubernetes(target(minInstances=0)),
                path="properties.scaleSettings.minInstances",
            ),
            Case(
                "Kubernetes, wrong order",
                FAIL,
                kubernetes(target(minInstances=4, maxInstances=2)),
                path="properties.scaleSettings.minInstances",
            ),
            Case(
                "Kubernetes, wrong order by default",
                FAIL,
                kubernetes(target(minInstances=4)),
                path="properties.scaleSettings.minInstances",
            ),
            Case("Kubernetes, no percentage", FAIL, kubernetes(target(targetUtilizationPercentage=0))),
            Case(
                "Kubernetes, above all",
                FAIL,
                kubernetes(target(targetUtilizationPercentage=101)),
                path="properties.scaleSettings.targetUtilizationPercentage",
            ),
            Case("unknown", OPEN, managed(UNKNOWN), path="sku.capacity"),
            Case(
                "unknown compute type",
                OPEN,
                {"properties": {"endpointComputeType": UNKNOWN}},
                path="properties.endpointComputeType",
            ),
            Case(
                "unknown scale type",
                OPEN,
                kubernetes({"scaleType": UNKNOWN}),
                path="properties.scaleSettings.scaleType",
            ),
            Case("unknown bound", OPEN, kubernetes(target(maxInstances=UNKNOWN))),
            Case("a failure wins over an unknown", FAIL, managed(100, scaleSettings=UNKNOWN)),
            Case("wrong type", FAIL, managed("two")),
            Case("unheard-of scale type", FAIL, managed(2, scaleSettings={"scaleType": "Magic"})),
            Case("settings without a type", FAIL, managed(2, scaleSettings={})),
            Case("wrong type of a bound", FAIL, kubernetes(target(maxInstances=[4]))),
            Case(
                "wrong type of the settings",
                FAIL,
                kubernetes("TargetUtilization"),
                path="properties.scaleSettings.scaleType",
            ),
            Case("wrong type of the sku", FAIL, {"sku": 2, "properties": {"endpointComputeType": "Managed"}}),
            Case("versioned", FAIL, managed(100), type=V_DEPLOYMENT),
        ],
    ),
    (
        machinelearningservices.workspace_offered_sku,
        [
            Case("pass", PASS, {"sku": {"name": "Basic", "tier": "Basic"}}),
            Case("other case", PASS, {"sku": {"name": "basic"}}),
            *(Case(f"offered {name}", PASS, {"sku": {"name": name}}) for name in ("Free", "Standard", "Premium")),
            Case("fail", FAIL, {"sku": {"name": "Enterprise"}}, path="sku.name"),
            Case("tier", FAIL, {"sku": {"name": "Basic", "tier": "Enterprise"}}, path="sku.tier"),
            Case("absent", PASS, {}),
            Case("null", PASS, {"sku": None}),
            Case("unknown", OPEN, {"sku": UNKNOWN}, path="sku.name"),
            Case("a failure wins over an unknown", FAIL, {"sku": {"name": UNKNOWN, "tier": "Enterprise"}}),
            Case("wrong type", FAIL, {"sku": "Basic"}),
            Case("list", FAIL, {"sku": {"name": ["Basic"]}}),
            Case("versioned", FAIL, {"sku": {"name": "Enterprise"}}, type=V_WORKSPACE),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", machinelearningservices.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in machinelearningservices.RULES] == [rule.code for rule, _ in TABLE]


def test_secret_percentages_are_not_shown() -> None:
    traffic = endpoint(traffic={"blue": Secret(71), "green": 42})

    (finding,) = run(machinelearningservices.endpoint_traffic, [Sample(ENDPOINT, traffic)])

    assert finding.verdict is FAIL
    assert "71" not in repr(finding)
    assert "113" not in repr(finding)
