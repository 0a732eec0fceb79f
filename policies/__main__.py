"""The CrossGuard pack that `pulumi preview --policy-pack policies/` serves. It serves and does not return."""

from ringfence.policy.analyzer_server import serve
from ringfence_policies import PACK

serve(PACK)
