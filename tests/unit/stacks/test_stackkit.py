from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from tests.unit.stacks.loading import load

STACK = "decoupled_lambda"
LoadSettings = Callable[..., Any]


def test_a_key_that_is_no_setting_is_refused(load_settings: LoadSettings) -> None:
    """A key with a typing error would otherwise leave the default in force, unseen."""
    with pytest.raises(pulumi.RunError, match=r"decoupled_lambda:maxInstance is not a setting of this stack$"):
        load_settings(STACK, "dev", {f"{STACK}:maxInstance": "2"})


def test_keys_of_other_namespaces_are_not_our_business(load_settings: LoadSettings) -> None:
    settings = load_settings(STACK, "dev", {"aws:profile": "team", "other:maxInstance": "2"})

    assert settings.max_instances == 2


def test_all_that_is_wrong_is_said_at_once(load_settings: LoadSettings) -> None:
    changes = {f"{STACK}:batchSize": "0", f"{STACK}:owner": None, f"{STACK}:colour": "red"}
    with pytest.raises(pulumi.RunError) as caught:
        load_settings(STACK, "prod", changes)
    named = [line.split()[1] for line in str(caught.value).splitlines()[1:]]

    assert [f"{STACK}:owner", f"{STACK}:batchSize", f"{STACK}:colour"] == named


def test_a_secret_value_is_not_shown(load_settings: LoadSettings) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        load_settings(STACK, "dev", {f"{STACK}:owner": "hunter2"}, secrets=(f"{STACK}:owner",))

    assert "hunter2" not in str(caught.value)
    assert f"{STACK}:owner is [secret]; allowed is text" in str(caught.value)


def test_settings_from_the_environment_as_the_cli_gives_them(
    load_settings: LoadSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", f'{{"{STACK}:batchSize": "3", "{STACK}:typo": "1"}}')
    with pytest.raises(pulumi.RunError, match="typo is not a setting"):
        load_settings(STACK, "dev", {})


def test_names_and_tags(load_settings: LoadSettings) -> None:
    settings = load_settings(STACK, "prod", {f"{STACK}:workload": "fraud-score"})
    (stackkit,) = load(STACK, "stackkit")
    names = stackkit.Names.of(settings)

    assert names("worker") == "fraud-score-prod-worker"
    assert names.compact("host") == "fraudscoreprodhost"
    assert settings.tags == {
        "environment": "prod",
        "workload": "fraud-score",
        "owner": "ml-platform@example.com",
        "cost-centre": "ML-1001",
        "managed-by": "pulumi",
    }
