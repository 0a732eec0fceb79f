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

STACK = "container_scaling"
LoadSettings = Callable[..., Any]

NAME = "text that matches ^[a-z][a-z0-9]*$, 3 to 8 characters"
EMAIL = r"text that matches ^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$, 1 to 254 characters"
COST_CENTRE = "text that matches ^[A-Za-z0-9-]{2,20}$"
LOCATION = "text that matches ^[a-z][a-z0-9]*$, 5 to 30 characters"
ZONES = "a list of 0 to 3 items, each one of 1, 2, 3"
REGISTRY = (
    r"text that matches ^/subscriptions/[0-9a-f-]{36}/resourceGroups/[A-Za-z0-9._()-]{1,90}"
    r"/providers/Microsoft\.ContainerRegistry/registries/[A-Za-z0-9]{5,50}$"
)
IMAGE = (
    r"text that matches ^[a-z0-9]{5,50}\.azurecr\.io/[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$, "
    "1 to 255 characters"
)
PYTHON = "one of 3.11, 3.12, 3.13"
DIGEST = "sha256:" + "0" * 64


def whole(low: int, high: int) -> str:
    return f"a whole number from {low} to {high}"


BAD = [
    Bad("azure-native:location", "West Europe", LOCATION),
    Bad("azure-native:location", None, LOCATION),
    Bad("environment", "Prod", "one of dev, prod"),
    Bad("environment", None, "one of dev, prod"),
    Bad("workload", "ab", NAME),
    Bad("workload", "a" * 9, NAME),
    Bad("workload", "my-app", NAME),
    Bad("workload", None, NAME),
    Bad("owner", "nobody", EMAIL),
    Bad("owner", None, EMAIL),
    Bad("costCentre", "ML 1", COST_CENTRE),
    Bad("costCentre", None, COST_CENTRE),
    Bad("alertEmail", "@example.com", EMAIL),
    Bad("alertEmail", None, EMAIL),
    Bad("privateNetwork", "maybe", "true or false"),
    Bad("zones", '["4"]', ZONES),
    Bad("zones", "[1]", ZONES),
    Bad("zones", "1", ZONES),
    Bad("zones", '["1", "2", "3", "1"]', ZONES),
    Bad("registryId", "exampleimages", REGISTRY),
    Bad("registryId", "/subscriptions/x/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a", REGISTRY),
    Bad("registryId", None, REGISTRY),
    Bad("image", "exampleimages.azurecr.io/scorer:latest", IMAGE),
    Bad("image", f"docker.io/library/scorer@{DIGEST}", IMAGE),
    Bad("image", f"exampleimages.azurecr.io/Scorer@{DIGEST}", IMAGE),
    Bad("image", f"exampleimages.azurecr.io/scorer@{DIGEST[:-1]}", IMAGE),
    Bad("image", None, IMAGE),
    Bad("cpu", "0.5", whole(1, 4)),
    Bad("memoryGb", "17", whole(1, 16)),
    Bad("concurrency", "0", whole(1, 64)),
    Bad("startupSeconds", "9", whole(10, 600)),
    Bad("drainSeconds", "14", whole(15, 120)),
    Bad("minimumGroups", "0", whole(1, 100)),
    Bad("minimumGroups", None, whole(1, 100)),
    Bad("maximumGroups", "many", whole(1, 100)),
    Bad("maximumGroups", None, whole(1, 100)),
    Bad("updateBatchPercent", "51", whole(5, 50)),
    Bad("updatePauseSeconds", "29", whole(30, 900)),
    Bad("targetCpuPercent", "100", whole(20, 85)),
    Bad("scaleInMarginPercent", "0", whole(10, 60)),
    Bad("scaleOutWindowMinutes", "1", whole(2, 10)),
    Bad("scaleInWindowMinutes", "61", whole(5, 60)),
    Bad("scaleOutCooldownSeconds", "59", whole(60, 1800)),
    Bad("scaleInCooldownSeconds", "299", whole(300, 7200)),
    Bad("scaleOutStep", "0", whole(1, 20)),
    Bad("scaleInStep", "11", whole(1, 10)),
    Bad("pythonVersion", "3.8", PYTHON),
    Bad("logDays", "731", whole(30, 730)),
    Bad("logDailyGb", "0", whole(1, 100)),
]

CONTRADICTIONS = [
    Contradiction(
        "an image of another registry",
        "dev",
        {"image": f"otherimages.azurecr.io/scorer@{DIGEST}"},
        "image is from otherimages.azurecr.io and must be from exampleimages, as registryId says",
    ),
    Contradiction(
        "one zone twice",
        "dev",
        {"zones": '["1", "1"]'},
        "zones is 1, 1 and must name each zone once",
    ),
    Contradiction(
        "bounds that exclude each other",
        "dev",
        {"minimumGroups": "4"},
        "maximumGroups is 3 and must be at least minimumGroups 4",
    ),
    Contradiction(
        "a zone that stays empty",
        "prod",
        {"minimumGroups": "2"},
        "minimumGroups is 2 and must be at least 3, one for each of zones",
    ),
    Contradiction(
        "more cores than a subscription has",
        "prod",
        {"maximumGroups": "42"},
        "maximumGroups is 42 and must be less: with updateBatchPercent 20 and cpu 2, an update takes 102 cores of 100",
    ),
    Contradiction(
        "a window of scaling in that is the shorter one",
        "dev",
        {"scaleInWindowMinutes": "5", "scaleOutWindowMinutes": "6"},
        "scaleInWindowMinutes is 5 and must be at least scaleOutWindowMinutes 6: scaling in is the slower one",
    ),
    Contradiction(
        "a cool-down of scaling in that is the shorter one",
        "dev",
        {"scaleInCooldownSeconds": "300", "scaleOutCooldownSeconds": "301"},
        "scaleInCooldownSeconds is 300 and must be at least scaleOutCooldownSeconds 301: scaling in is the slower one",
    ),
    Contradiction(
        "a step of scaling in that is the larger one",
        "dev",
        {"scaleInStep": "5"},
        "scaleOutStep is 4 and must be at least scaleInStep 5: scaling in is the slower one",
    ),
    Contradiction(
        "prod in one zone",
        "prod",
        {"zones": '["1"]'},
        "zones is 1 and must be at least 2 when environment is prod: a zone may fail",
    ),
    Contradiction(
        "prod without room to scale",
        "prod",
        {"maximumGroups": "3"},
        "maximumGroups is 3 and must be at least 4 when environment is prod: there must be something to scale",
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


def test_the_most_groups_that_the_quota_has_room_for(load_settings: LoadSettings) -> None:
    settings = load_settings(STACK, "prod", {f"{STACK}:maximumGroups": "41"})

    assert settings.most_groups_at_once * settings.cpu == 100


def test_a_registry_may_be_written_with_capitals(load_settings: LoadSettings) -> None:
    registry = load_settings(STACK, "dev", {}).registry_id
    settings = load_settings(STACK, "dev", {f"{STACK}:registryId": registry.replace("exampleimages", "ExampleImages")})

    assert settings.registry_host == "exampleimages.azurecr.io"


def test_readme_names_every_setting() -> None:
    assert set() == undocumented(STACK)
