"""Both ways between this project's rules and CrossGuard, Pulumi's policy system.

`to_policies` makes ordinary `pulumi_policy` policies of rules; `load_pack` runs anyone's CrossGuard pack in process.
Importing this module imports pulumi.
"""

from __future__ import annotations

from ringfence.policy.crossguard_evaluate import CrossGuardPack, StackContext
from ringfence.policy.crossguard_export import to_policies
from ringfence.policy.crossguard_import import load_pack

__all__ = ["CrossGuardPack", "StackContext", "load_pack", "to_policies"]
