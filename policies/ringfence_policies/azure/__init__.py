"""Guardrails for Azure."""

from __future__ import annotations

from ringfence.policy.rule import Rule
from ringfence_policies.azure import (
    applicationinsights,
    authorization,
    authorization_graph,
    containerinstance,
    cosmosdb,
    diagnostics,
    key_access,
    keyvault,
    machinelearningservices,
    ml_serving,
    monitor,
    private_access,
    servicebus,
    storage,
    web,
)

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    *storage.RULES,
    *web.RULES,
    *cosmosdb.RULES,
    *servicebus.RULES,
    *containerinstance.RULES,
    *machinelearningservices.RULES,
    *ml_serving.RULES,
    *monitor.RULES,
    *authorization.RULES,
    *authorization_graph.RULES,
    *keyvault.RULES,
    *applicationinsights.RULES,
    *key_access.RULES,
    *private_access.RULES,
    *diagnostics.RULES,
)
