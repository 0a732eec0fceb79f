from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.stacks.rejections import (
    Bad,
    Contradiction,
    check_bad,
    check_bounds,
    check_contradiction,
    fields,
    undocumented,
)

STACK = "model_serving"
LoadSettings = Callable[..., Any]

NAME = "text that matches ^[a-z][a-z0-9]*$, 3 to 8 characters"
EMAIL = r"text that matches ^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$, 1 to 254 characters"
COST_CENTRE = "text that matches ^[A-Za-z0-9-]{2,20}$"
LOCATION = "text that matches ^[a-z][a-z0-9]*$, 5 to 30 characters"
PRINCIPAL = "text that matches ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$, 1 to 36 characters"
MODEL = "text that matches ^[A-Za-z0-9][A-Za-z0-9_-]*:[1-9][0-9]*$, 3 to 64 characters"
IMAGE = "text that matches ^[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$, 73 to 200 characters"
MACHINES = (
    "one of Standard_DS2_v2, Standard_DS3_v2, Standard_DS4_v2, Standard_D2as_v4, Standard_D4as_v4, Standard_D8as_v4, "
    "Standard_E2s_v3, Standard_E4s_v3, Standard_E8s_v3, Standard_F4s_v2, Standard_F8s_v2, Standard_F16s_v2"
)
NODES = "one of Standard_DS2_v2, Standard_DS3_v2, Standard_DS4_v2, Standard_F4s_v2, Standard_F8s_v2, Standard_E4s_v3"
DIGEST = "0" * 64


def whole(low: int, high: int) -> str:
    return f"a whole number from {low} to {high}"


BAD = [
    Bad("azure-native:location", "West Europe", LOCATION),
    Bad("azure-native:location", None, LOCATION),
    Bad("environment", "Prod", "one of dev, prod"),
    Bad("environment", None, "one of dev, prod"),
    Bad("workload", "ab", NAME),
    Bad("workload", "a" * 9, NAME),
    Bad("workload", "my-model", NAME),
    Bad("workload", None, NAME),
    Bad("owner", "nobody", EMAIL),
    Bad("owner", None, EMAIL),
    Bad("costCentre", "ML 1", COST_CENTRE),
    Bad("costCentre", None, COST_CENTRE),
    Bad("alertEmail", "@example.com", EMAIL),
    Bad("alertEmail", None, EMAIL),
    Bad("privateNetwork", "maybe", "true or false"),
    Bad("zoneRedundant", "2", "true or false"),
    Bad("softDeleteDays", "91", whole(7, 90)),
    Bad("callerPrincipalId", "ml-team", PRINCIPAL),
    Bad("callerPrincipalId", None, PRINCIPAL),
    Bad("callerPrincipalType", "User", "one of Group, ServicePrincipal"),
    Bad("clusterVmSize", "Standard_D2_v2", NODES),
    Bad("clusterMinNodes", "-1", whole(0, 4)),
    Bad("clusterMaxNodes", "21", whole(1, 20)),
    Bad("clusterIdleSeconds", "119", whole(120, 3600)),
    Bad("blueModel", "churn", MODEL),
    Bad("blueModel", "churn:latest", MODEL),
    Bad("blueImage", "scoring:1.0", IMAGE),
    Bad("blueImage", f"registry.example.com:5000/scoring@sha256:{DIGEST}", IMAGE),
    Bad("blueInstanceType", "Standard_DS1_v2", MACHINES),
    Bad("blueMinInstances", "0", whole(1, 19)),
    Bad("blueMaxInstances", "21", whole(2, 20)),
    Bad("greenModel", ":1", MODEL),
    Bad("greenImage", "scoring@sha256:abc", IMAGE),
    Bad("greenInstanceType", "Standard_NC6s_v3", MACHINES),
    Bad("greenMinInstances", "20", whole(1, 19)),
    Bad("greenMaxInstances", "1", whole(2, 20)),
    Bad("greenPercent", "101", whole(0, 100)),
    Bad("greenPercent", "-1", whole(0, 100)),
    Bad("greenPercent", "12.5", whole(0, 100)),
    Bad("greenPercent", "half", whole(0, 100)),
    Bad("requestTimeoutSeconds", "181", whole(1, 180)),
    Bad("concurrentRequests", "0", whole(1, 100)),
    Bad("latencyAlertMs", "9", whole(10, 180_000)),
    Bad("scaleOutCpuPercent", "91", whole(30, 90)),
    Bad("scaleInCpuPercent", "4", whole(5, 60)),
    Bad("scaleOutStep", "0", whole(1, 5)),
    Bad("scaleOutWindowMinutes", "4", whole(5, 60)),
    Bad("scaleInWindowMinutes", "121", whole(5, 120)),
    Bad("scaleOutCooldownMinutes", "61", whole(5, 60)),
    Bad("scaleInCooldownMinutes", "ten", whole(5, 60)),
    Bad("instanceStartMinutes", "0", whole(1, 30)),
    Bad("logDays", "731", whole(30, 730)),
    Bad("logDailyGb", "-1", whole(1, 100)),
]

CONTRADICTIONS = [
    Contradiction(
        "an image without a model",
        "dev",
        {"greenImage": f"scoring@sha256:{DIGEST}"},
        "greenModel is missing and must be set, as greenImage is set",
    ),
    Contradiction(
        "a model without an image",
        "dev",
        {"greenModel": "churn:8"},
        "greenImage is missing and must be set, as greenModel is set",
    ),
    Contradiction(
        "bounds between which nothing scales",
        "prod",
        {"greenMinInstances": "6"},
        "greenMaxInstances is 6 and must be more than greenMinInstances, 6: between equal bounds nothing scales",
    ),
    Contradiction(
        "requests for no green deployment",
        "dev",
        {"greenPercent": "10"},
        "greenPercent is 10 and must be 0 or left out, as greenModel is not set",
    ),
    Contradiction(
        "more nodes than there may be",
        "prod",
        {"clusterMinNodes": "4", "clusterMaxNodes": "3"},
        "clusterMinNodes is 4 and must be at most clusterMaxNodes, 3",
    ),
    Contradiction(
        "idle nodes in dev",
        "dev",
        {"clusterMinNodes": "1"},
        "clusterMinNodes is 1 and must be 0 when environment is dev: idle nodes cost",
    ),
    Contradiction(
        "thresholds that flap",
        "dev",
        {"scaleInCpuPercent": "31"},
        "scaleInCpuPercent is 31 and must be at most 30: scaleOutCpuPercent 70 on blueMinInstances 1 "
        "becomes 35 on scaleOutStep 1 more, and without 5 between them it flaps",
    ),
    Contradiction(
        "thresholds that flap where there are fewest instances",
        "prod",
        {"scaleInCpuPercent": "31"},
        "scaleInCpuPercent is 31 and must be at most 30: scaleOutCpuPercent 70 on greenMinInstances 2 "
        "becomes 35 on scaleOutStep 2 more, and without 5 between them it flaps",
    ),
    Contradiction(
        "a step that flaps",
        "dev",
        {"scaleOutStep": "2"},
        "scaleInCpuPercent is 25 and must be at most 18: scaleOutCpuPercent 70 on blueMinInstances 1 "
        "becomes 23 on scaleOutStep 2 more, and without 5 between them it flaps",
    ),
    Contradiction(
        "a step that is decided before the last one shows",
        "dev",
        {"instanceStartMinutes": "6"},
        "scaleOutCooldownMinutes is 10 and must be at least 11: instanceStartMinutes 6 plus scaleOutWindowMinutes 5, "
        "or old load is counted twice",
    ),
    Contradiction(
        "scaling in on little evidence",
        "dev",
        {"scaleInWindowMinutes": "9"},
        "scaleInWindowMinutes is 9 and must be at least 10, twice scaleOutWindowMinutes: scaling in is the slower one",
    ),
    Contradiction(
        "scaling in faster than out",
        "dev",
        {"scaleInCooldownMinutes": "9"},
        "scaleInCooldownMinutes is 9 and must be at least scaleOutCooldownMinutes, 10: scaling in faster than "
        "out flaps",
    ),
    Contradiction(
        "an alert that never comes",
        "dev",
        {"latencyAlertMs": "5001"},
        "latencyAlertMs is 5001 and must be at most 5000, as requestTimeoutSeconds is 5",
    ),
    Contradiction(
        "prod on the internet",
        "prod",
        {"privateNetwork": "false"},
        "privateNetwork is false and must be true when environment is prod",
    ),
    Contradiction(
        "prod in one zone",
        "prod",
        {"zoneRedundant": "false"},
        "zoneRedundant is false and must be true when environment is prod",
    ),
    Contradiction(
        "prod on one instance",
        "prod",
        {"greenMinInstances": "1", "scaleInCpuPercent": "15"},
        "greenMinInstances is 1 and must be at least 2 when environment is prod: one alone is down whenever it is "
        "replaced",
    ),
    Contradiction(
        "prod with short soft delete",
        "prod",
        {"softDeleteDays": "29"},
        "softDeleteDays is 29 and must be at least 30 when environment is prod: damage is often found late",
    ),
    Contradiction(
        "prod with short logs",
        "prod",
        {"logDays": "89"},
        "logDays is 89 and must be at least 90 when environment is prod: an investigation looks back a quarter",
    ),
]

NUMBERS = [key for key, schema in fields(STACK).items() if "minimum" in schema]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_stack_has_good_settings(load_settings: LoadSettings, environment: str) -> None:
    settings = load_settings(STACK, environment, {})

    assert environment == settings.environment
    assert (environment == "prod") is settings.is_prod


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.label[:60])
def test_a_bad_setting_is_refused(load_settings: LoadSettings, bad: Bad) -> None:
    check_bad(load_settings, STACK, bad)


def test_every_setting_has_a_bad_case() -> None:
    assert set(fields(STACK)) == {bad.key for bad in BAD}


@pytest.mark.parametrize("key", NUMBERS)
def test_bounds_are_inclusive(load_settings: LoadSettings, key: str) -> None:
    check_bounds(load_settings, STACK, key)


@pytest.mark.parametrize("case", CONTRADICTIONS, ids=lambda case: case.label)
def test_a_contradiction_is_refused(load_settings: LoadSettings, case: Contradiction) -> None:
    check_contradiction(load_settings, STACK, case)


def test_requests_for_no_blue_deployment_are_refused(load_settings: LoadSettings) -> None:
    without_blue = {f"{STACK}:blueModel": None, f"{STACK}:blueImage": None}

    with pytest.raises(Exception, match="greenPercent is 10 and must be 100 or left out, as blueModel is not set"):
        load_settings(STACK, "prod", without_blue)
    assert load_settings(STACK, "prod", {**without_blue, f"{STACK}:greenPercent": "100"}).traffic == {"green": 100}


@pytest.mark.parametrize("percent", [0, 1, 50, 99, 100])
def test_the_traffic_sums_to_100(load_settings: LoadSettings, percent: int) -> None:
    traffic = load_settings(STACK, "prod", {f"{STACK}:greenPercent": str(percent)}).traffic

    assert sum(traffic.values()) == 100
    assert traffic.get("green", 0) == percent


def test_without_a_percentage_no_requests_are_sent(load_settings: LoadSettings) -> None:
    assert load_settings(STACK, "prod", {f"{STACK}:greenPercent": None}).traffic == {}


def test_a_deployment_without_requests_may_be_small_in_prod(load_settings: LoadSettings) -> None:
    changes = {"greenMinInstances": "1", "greenPercent": "0", "scaleInCpuPercent": "15"}
    settings = load_settings(STACK, "prod", {f"{STACK}:{key}": value for key, value in changes.items()})

    assert [(colour.name, colour.min_instances) for colour in settings.colours] == [("blue", 4), ("green", 1)]


def test_readme_names_every_setting() -> None:
    assert set() == undocumented(STACK)
