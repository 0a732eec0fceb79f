"""Guardrails that hold for every service."""

from __future__ import annotations

from ringfence.policy.rule import Rule
from ringfence_policies.common import general

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (*general.RULES,)
