"""The CrossGuard pack that `pulumi preview --policy-pack policies/` serves. Constructing it never returns."""

from pulumi_policy import PolicyPack

from ringfence.policy.crossguard import to_policies
from ringfence_policies import PACK

PolicyPack(name=PACK.name, policies=to_policies(PACK))
