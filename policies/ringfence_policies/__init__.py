"""ringfence's guardrails for Azure and AWS, as one policy pack."""

from __future__ import annotations

from ringfence import __version__
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Rule
from ringfence_policies import aws, azure, common

__all__ = ["PACK", "RULES"]

RULES: tuple[Rule, ...] = (*azure.RULES, *aws.RULES, *common.RULES)
"""All rules, in the order of the report."""

PACK = Pack("ringfence", __version__, RULES)
