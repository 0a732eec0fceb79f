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

STACK = "stateful_functions"
LoadSettings = Callable[..., Any]

NAME = "text that matches ^[a-z][a-z0-9]*$, 3 to 8 characters"
EMAIL = r"text that matches ^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$, 1 to 254 characters"
COST_CENTRE = "text that matches ^[A-Za-z0-9-]{2,20}$"
LOCATION = "text that matches ^[a-z][a-z0-9]*$, 5 to 30 characters"
ORIGINS = r"a list of 0 to 10 items, each text that matches ^https://[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?$"
MEMORY = "one of 512, 2048, 4096"
PYTHON = "one of 3.11, 3.12, 3.13"
YEAR = 365 * 24 * 60 * 60


def whole(low: int, high: int) -> str:
    return f"a whole number from {low} to {high}"


BAD = [
    Bad("azure-native:location", "West Europe", LOCATION),
    Bad("azure-native:location", None, LOCATION),
    Bad("environment", "Prod", "one of dev, prod"),
    Bad("environment", None, "one of dev, prod"),
    Bad("workload", "ab", NAME),
    Bad("workload", "a" * 9, NAME),
    Bad("workload", "my-chat", NAME),
    Bad("workload", None, NAME),
    Bad("owner", "nobody", EMAIL),
    Bad("owner", None, EMAIL),
    Bad("costCentre", "ML 1", COST_CENTRE),
    Bad("costCentre", None, COST_CENTRE),
    Bad("alertEmail", "@example.com", EMAIL),
    Bad("alertEmail", None, EMAIL),
    Bad("secondaryLocation", "North Europe", LOCATION),
    Bad("zoneRedundant", "maybe", "true or false"),
    Bad("privateNetwork", "maybe", "true or false"),
    Bad("zoneRedundant", "2", "true or false"),
    Bad("privateNetwork", "2", "true or false"),
    Bad("pythonVersion", "3.8", PYTHON),
    Bad("instanceMemoryMb", "1024", MEMORY),
    Bad("instanceMemoryMb", "lots", MEMORY),
    Bad("maximumInstances", "39", whole(40, 100)),
    Bad("alwaysReadyInstances", "21", whole(0, 20)),
    Bad("httpConcurrency", "0", whole(1, 1000)),
    Bad("httpConcurrency", "true!", whole(1, 1000)),
    Bad("allowedOrigins", '["*"]', ORIGINS),
    Bad("allowedOrigins", '["http://app.example.com"]', ORIGINS),
    Bad("allowedOrigins", "https://app.example.com", ORIGINS),
    Bad("allowedOrigins", "[" + ", ".join(['"https://app.example.com"'] * 11) + "]", ORIGINS),
    Bad("sessionTtlSeconds", "-1", whole(60, YEAR)),
    Bad("inlineStateKb", "257", whole(1, 256)),
    Bad("maxStateKb", "16385", whole(1, 16_384)),
    Bad("maxStateKb", "4 MB", whole(1, 16_384)),
    Bad("containerThroughput", "1500", whole(1000, 20_000) + " in steps of 1000"),
    Bad("throughputLimit", "-1", whole(1000, 100_000)),
    Bad("artefactDays", "0", whole(1, 400)),
    Bad("softDeleteDays", "6", whole(7, 365)),
    Bad("logDays", "731", whole(30, 730)),
    Bad("logDailyGb", "-1", whole(1, 100)),
]

CONTRADICTIONS = [
    Contradiction(
        "one region twice",
        "dev",
        {"secondaryLocation": "westeurope", "throughputLimit": "2000"},
        "secondaryLocation is westeurope and must differ from azure-native:location",
    ),
    Contradiction(
        "more throughput than the account may have",
        "dev",
        {"secondaryLocation": "northeurope", "containerThroughput": "2000", "throughputLimit": "3999"},
        "throughputLimit is 3999 and must be at least 4000: containerThroughput 2000 twice, "
        "as secondaryLocation is set",
    ),
    Contradiction(
        "artefacts that go before their session",
        "dev",
        {"sessionTtlSeconds": str(24 * 60 * 60), "artefactDays": "1"},
        "artefactDays is 1 and must be at least 2, as sessionTtlSeconds is 86400",
    ),
    Contradiction(
        "states that are too large for the database and for the API",
        "dev",
        {"inlineStateKb": "65", "maxStateKb": "64"},
        "inlineStateKb is 65 and must be at most maxStateKb, 64",
    ),
    Contradiction(
        "states that an instance has no memory for",
        "dev",
        {"maxStateKb": "4160", "httpConcurrency": "16", "instanceMemoryMb": "512"},
        "maxStateKb is 4160: httpConcurrency 16 times that may take 260 MB, and must take at most half of "
        "instanceMemoryMb, 256",
    ),
    Contradiction(
        "one instance over several zones",
        "dev",
        {"zoneRedundant": "true", "alwaysReadyInstances": "1"},
        "alwaysReadyInstances is 1 and must be 0 or at least 2 when zoneRedundant is true",
    ),
    Contradiction(
        "prod in one zone",
        "prod",
        {"zoneRedundant": "false"},
        "zoneRedundant is false and must be true when environment is prod",
    ),
    Contradiction(
        "prod with cold starts",
        "prod",
        {"alwaysReadyInstances": "0"},
        "alwaysReadyInstances is 0 and must be at least 2 when environment is prod: users do not wait for a cold start",
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


@pytest.mark.parametrize(("days", "seconds"), [("1", str(24 * 60 * 60 - 1)), ("2", str(24 * 60 * 60))])
def test_artefacts_outlive_their_session(load_settings: LoadSettings, days: str, seconds: str) -> None:
    settings = load_settings(STACK, "dev", {f"{STACK}:artefactDays": days, f"{STACK}:sessionTtlSeconds": seconds})

    assert int(days) == settings.artefact_days


def test_readme_names_every_setting() -> None:
    assert set() == undocumented(STACK)
