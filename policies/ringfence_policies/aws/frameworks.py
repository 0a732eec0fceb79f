"""The published frameworks that the AWS guardrails implement controls of."""

from __future__ import annotations

from ringfence.policy.rule import Framework

__all__ = ["cis", "fsbp"]


def fsbp(control: str) -> Framework:
    """Return a control of AWS Foundational Security Best Practices, the standard of AWS Security Hub."""
    return Framework("AWS Foundational Security Best Practices", "1.0.0", control)


def cis(version: str, reference: str) -> Framework:
    """Return a recommendation of the CIS AWS Foundations Benchmark."""
    return Framework("CIS AWS Foundations", version, reference)
