"""Guardrails for Azure."""

from __future__ import annotations

from ringfence.policy.rule import Rule
from ringfence_policies.azure import (
    applicationinsights,
    authorization,
    authorization_graph,
    containerinstance,
    cosmosdb,
    keyvault,
    machinelearningservices,
    ml_serving,
    monitor,
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
)
