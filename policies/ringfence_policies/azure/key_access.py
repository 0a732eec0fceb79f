"""Access by Entra ID instead of by keys, and keys that do not live for ever where there are some."""

from __future__ import annotations

import re

from ringfence.policy.checks import Test, equals, is_true, not_applicable, require, satisfying
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import cis, mcsb, whole_number

__all__ = ["RULES"]

ACCOUNT = "azure-native:storage:StorageAccount"
COMPONENT = "azure-native:applicationinsights:Component"
WORKSPACE = "azure-native:machinelearningservices:Workspace"
_PERIOD = re.compile(r"(\d+)\.(\d{2}):(\d{2}):(\d{2})")


@rule(
    "ST05",
    "storage-no-shared-key",
    "Storage accounts refuse the account's keys",
    types=(ACCOUNT,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="A key opens everything in the account, for whoever has it, and no log says who it was.",
    reads="allowSharedKeyAccess",
    absent="Fails: the service takes null for allowed.",
    remedy="Set allow_shared_key_access to False, and give identities a data role. A Function App then needs "
    "AzureWebJobsStorage by identity (AzureWebJobsStorage__accountName).",
    frameworks=(*cis(v40="10.3.1.3", v50="9.3.1.3", v60="9.3.1.3"), *mcsb("IM-1")),
    sources=("CKV2_AZURE_40", "Azure.Storage.LocalAuth", "AzP 8c6a50c6"),
    bad=(Sample(ACCOUNT, {"allowSharedKeyAccess": True}),),
    good=(Sample(ACCOUNT, {"allowSharedKeyAccess": False}),),
)
def no_shared_key(account: ResourceView, _: Parameters) -> Outcome:
    """Check that keys are switched off."""
    return require(account["allowSharedKeyAccess"], equals(False), absent="Keys are then accepted.")


@rule(
    "ST06",
    "storage-entra-by-default",
    "The portal opens storage accounts by Entra ID",
    types=(ACCOUNT,),
    severity=Severity.LOW,
    level=Level.ADVISORY,
    why="The portal otherwise fetches the account's key for whoever looks at a blob there.",
    reads="defaultToOAuthAuthentication",
    absent="Fails: the default is false.",
    remedy="Set default_to_o_auth_authentication to True.",
    frameworks=cis(v40="10.3.3.1", v50="9.3.3.1", v60="9.3.3.1"),
    sources=("CIS 9.3.3.1",),
    bad=(Sample(ACCOUNT, {"defaultToOAuthAuthentication": False}),),
    good=(Sample(ACCOUNT, {"defaultToOAuthAuthentication": True}),),
)
def entra_by_default(account: ResourceView, _: Parameters) -> Outcome:
    """Check the portal's default."""
    return require(account["defaultToOAuthAuthentication"], is_true(), absent="The default is false.")


def _short(days: int) -> Test:
    def accepts(value: str) -> bool:
        found = _PERIOD.fullmatch(value)
        if found is None:
            return False
        whole, hours, minutes, seconds = map(int, found.groups())
        return 0 < whole * 86400 + hours * 3600 + minutes * 60 + seconds <= days * 86400

    return satisfying(accepts, f'a period of at most {days} days, as "1.00:00:00"', "string")


@rule(
    "ST18",
    "storage-sas-expiry",
    "Storage accounts say how long a SAS may live",
    types=(ACCOUNT,),
    severity=Severity.LOW,
    level=Level.ADVISORY,
    why="A shared access signature cannot be taken back: one that lives for years is a key for years.",
    reads="sasPolicy.sasExpirationPeriod",
    absent="Fails: nothing then limits, or reports, the life of a SAS.",
    remedy="Set sas_policy with a sas_expiration_period of a few days at most.",
    frameworks=cis(v21="3.6", v30="4.5"),
    sources=("CKV2_AZURE_41", "AzP bc1b984e", "AzP 7aa1c9d5"),
    parameters=(Parameter("days", "integer", 7, "Days that a SAS may live, at most.", minimum=1, maximum=365),),
    bad=(Sample(ACCOUNT, {"sasPolicy": {"sasExpirationPeriod": "365.00:00:00", "expirationAction": "Log"}}),),
    good=(Sample(ACCOUNT, {"sasPolicy": {"sasExpirationPeriod": "1.00:00:00", "expirationAction": "Log"}}),),
)
def sas_expiry(account: ResourceView, parameters: Parameters) -> Outcome:
    """Check the period, which the service spells DD.HH:MM:SS."""
    place = account.at("sasPolicy.sasExpirationPeriod")
    return require(place, _short(parameters["days"]), absent="Nothing then limits the life of a SAS.")


@rule(
    "ST19",
    "storage-key-expiry",
    "Storage accounts say when their keys are to be rotated",
    types=(ACCOUNT,),
    severity=Severity.LOW,
    level=Level.ADVISORY,
    why="Without a period nobody is reminded, and a leaked key works until somebody notices the leak.",
    reads="keyPolicy.keyExpirationPeriodInDays",
    absent="Fails: there is then no reminder.",
    remedy="Set key_policy with a key_expiration_period_in_days of at most 90.",
    frameworks=(*cis(v21="3.3", v30="4.3", v40="10.3.1.1", v50="9.3.1.1", v60="9.3.1.1"), *mcsb("DP-6", version="2")),
    sources=("AzP 044985bb",),
    parameters=(Parameter("days", "integer", 90, "Days until a key is to be rotated, at most.", minimum=1),),
    bad=(Sample(ACCOUNT, {"keyPolicy": {"keyExpirationPeriodInDays": 365}}),),
    good=(Sample(ACCOUNT, {"keyPolicy": {"keyExpirationPeriodInDays": 90}}),),
)
def key_expiry(account: ResourceView, parameters: Parameters) -> Outcome:
    """Check the period."""
    place = account.at("keyPolicy.keyExpirationPeriodInDays")
    return require(place, whole_number(1, parameters["days"], "days"), absent="There is then no reminder.")


@rule(
    "AI02",
    "applicationinsights-no-local-auth",
    "Application Insights takes telemetry by Entra ID only",
    types=(COMPONENT,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="Whoever has the instrumentation key, which is in every client, can otherwise write telemetry of his own.",
    reads="disableLocalAuth",
    absent="Fails: the default is false.",
    remedy="Set disable_local_auth to True, and give senders the role Monitoring Metrics Publisher.",
    frameworks=mcsb("IM-1", version="2"),
    sources=("Azure.AppInsights.LocalAuth", "AzP 199d5677"),
    bad=(Sample(COMPONENT, {"kind": "web", "disableLocalAuth": False}),),
    good=(Sample(COMPONENT, {"kind": "web", "disableLocalAuth": True}),),
)
def no_local_auth(component: ResourceView, _: Parameters) -> Outcome:
    """Check that instrumentation keys alone are not enough."""
    return require(component["disableLocalAuth"], is_true(), absent="The default is false.")


@rule(
    "ML08",
    "ml-identity-datastores",
    "Machine learning workspaces open their datastores by identity",
    types=(WORKSPACE,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="With keys, everyone who may use the workspace reads everything in its storage, whatever his own roles are.",
    reads="systemDatastoresAuthMode",
    absent="Fails: the default is AccessKey.",
    remedy='Set system_datastores_auth_mode="Identity", and allow_shared_key_access=False on the storage account.',
    sources=("project",),
    bad=(Sample(WORKSPACE, {"systemDatastoresAuthMode": "AccessKey"}),),
    good=(Sample(WORKSPACE, {"systemDatastoresAuthMode": "Identity"}),),
)
def identity_datastores(workspace: ResourceView, _: Parameters) -> Outcome:
    """Check the mode, whose case the service does not mind. Hubs hand theirs to their projects."""
    kind = workspace["kind"].text
    if kind is not None and kind.casefold() == "project":
        return not_applicable("A project has the datastores of its hub.")
    test = satisfying(lambda value: value.casefold() == "identity", '"Identity"', "string")
    return require(workspace["systemDatastoresAuthMode"], test, absent="The default is AccessKey.")


RULES: tuple[Rule, ...] = (no_shared_key, entra_by_default, sas_expiry, key_expiry, no_local_auth, identity_datastores)
