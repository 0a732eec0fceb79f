"""Getting a started pack ready: told of the stack, asked for its policies, configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.runtime import proto

from ringfence.deployment import Secret
from ringfence.packs.client import LEVELS, AnalyzerClient
from ringfence.packs.launch import StackFacts
from ringfence.packs.remote import RemotePack
from ringfence.policy.pack import PackError
from ringfence.policy.pack_config import DeclaredPolicy, Entry, reconcile
from ringfence.policy.redaction import Redactor
from ringfence.wire import decode

__all__ = ["load_remote"]


def load_remote(client: AnalyzerClient, facts: StackFacts, config: Mapping[str, Any] | None) -> RemotePack:
    """Return the pack of a started process, told of the stack and configured.

    `config` is what a `--policy-pack-config` file holds. Raises `PackError` where the pack does not start, or the
    config is none that its policies' schemas take.
    """
    secrets = {key: Secret(facts.config[key]) for key in facts.secret_keys if key in facts.config}
    try:
        return _load(client, facts, config, secrets)
    except PackError as error:
        # It may quote what the pack wrote last.
        raise PackError(Redactor(secrets)(str(error))) from None


def _load(
    client: AnalyzerClient, facts: StackFacts, config: Mapping[str, Any] | None, secrets: Mapping[str, Secret]
) -> RemotePack:
    client.configure_stack(facts)
    info = client.info()
    place = client.launch.manifest.directory
    try:
        _refuse_double_names(info)
        initial: dict[str, Entry] = {
            name: (LEVELS[entry.enforcementLevel], decode(entry.properties))
            for name, entry in info.initialConfig.items()
        }
        settings, notes = reconcile(info.name, [_declared(policy) for policy in info.policies], initial, config or {})
    except PackError as error:
        raise PackError(f"{place}: {error}") from None
    client.configure(settings)
    return RemotePack(client, info, settings, notes, secrets)


def _refuse_double_names(info: proto.AnalyzerInfo) -> None:
    names = [policy.name for policy in info.policies]
    for name in names:
        if names.count(name) > 1:
            raise PackError(f"policy pack {info.name}: two policies are called {name}")


def _declared(policy: proto.PolicyInfo) -> DeclaredPolicy:
    schema = policy.configSchema
    return DeclaredPolicy(
        policy.name,
        LEVELS[policy.enforcementLevel],
        decode(schema.properties),
        list(schema.required),
        checked=policy.HasField("configSchema"),
    )
