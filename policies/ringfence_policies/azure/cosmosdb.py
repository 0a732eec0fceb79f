"""Azure Cosmos DB: database accounts. The SDK's second version calls the module `documentdb`."""

from __future__ import annotations

import ipaddress

from ringfence.policy.checks import equals, every, failed, is_true, not_applicable, require, satisfying, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import cis, mcsb

__all__ = ["RULES"]

ACCOUNT = "azure-native:cosmosdb:DatabaseAccount"

_OTHER_APIS = frozenset(("enablemongo", "enablecassandra", "enabletable", "enablegremlin"))
"""Capabilities of accounts whose API is not NoSQL; Azure Policy 5450f5bd leaves the same ones out."""


def _is_nosql(account: ResourceView) -> bool | None:
    """Whether the account speaks the NoSQL API; None where that is unknown."""
    names = [capability["name"] for capability in account["capabilities"].elements()]
    kind = account["kind"]
    if (kind.text or "").casefold() == "mongodb" or any((name.text or "").casefold() in _OTHER_APIS for name in names):
        return False
    return None if kind.unknown or any(name.unknown for name in names) else True


@rule(
    "CO01",
    "cosmosdb-no-local-auth",
    "Cosmos DB accounts refuse account keys",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="An account key opens all data, belongs to nobody and is hard to take back; Entra ID roles are none of that.",
    reads="disableLocalAuth; kind and capabilities[].name, which say whether the account speaks the NoSQL API",
    absent="Fails: the service's default is false.",
    remedy="Set disable_local_auth=True and give data-plane roles with SqlResourceSqlRoleAssignment.",
    frameworks=(*cis(v21="4.5.3", v30="5.4.3"), *mcsb("IM-1")),
    sources=("CKV_AZURE_140", "Azure.Cosmos.NoSQLLocalAuth", "AzP 5450f5bd"),
    bad=(Sample(ACCOUNT, {"disableLocalAuth": False}),),
    good=(Sample(ACCOUNT, {"disableLocalAuth": True}),),
)
def no_local_auth(account: ResourceView, _: Parameters) -> Outcome:
    """Check that keys are off. Only the NoSQL API can work without them."""
    outcome = require(account["disableLocalAuth"], is_true(), absent="Account keys then work.")
    nosql = _is_nosql(account)
    if nosql is False:
        return not_applicable("Only accounts of the NoSQL API can work without account keys.")
    if nosql is None and account["disableLocalAuth"].value is not True:
        return undecided(account["kind"] if account["kind"].unknown else account["capabilities"])
    return outcome


def _is_open(text: str) -> bool:
    """Whether an IP rule starts at 0.0.0.0, or is no IP rule at all."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False).network_address == ipaddress.IPv4Address(0)
    except ValueError:
        return True


_ADDRESS = satisfying(lambda value: not _is_open(value), "an IPv4 address or CIDR range other than 0.0.0.0", "string")


@rule(
    "CO04",
    "cosmosdb-no-all-azure-rule",
    "Cosmos DB accounts do not let in all of Azure",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="The address 0.0.0.0 lets in every data centre address of Azure, other customers' machines included.",
    reads="ipRules[].ipAddressOrRange; ipRangeFilter in API versions before 2020",
    absent="Passes: no rule lets nobody in.",
    remedy="Name the addresses that need access in ip_rules, or use a private endpoint.",
    sources=("AzP 12339a85",),
    bad=(Sample(ACCOUNT, {"ipRules": [{"ipAddressOrRange": "203.0.113.7"}, {"ipAddressOrRange": "0.0.0.0"}]}),),
    good=(Sample(ACCOUNT, {"ipRules": [{"ipAddressOrRange": "203.0.113.0/24"}]}),),
)
def no_all_azure_rule(account: ResourceView, _: Parameters) -> list[Outcome]:
    """Check each IP rule. A range that starts at 0.0.0.0 holds that address and is refused for the same reason."""
    outcomes = every(
        account["ipRules"].elements(), lambda item: require(item["ipAddressOrRange"], _ADDRESS, absent="pass")
    )
    return [*outcomes, _old_filter(account["ipRangeFilter"])]


def _old_filter(place: Property) -> Outcome:
    parts = [part.strip() for part in (place.text or "").split(",")]
    if any(part and _is_open(part) for part in parts):
        return failed(
            place, f"{place.path} is {place.shown}, expected {_ADDRESS.expected}.", expected=_ADDRESS.expected
        )
    return require(place, satisfying(lambda _: True, "a comma-separated list of addresses", "string"), absent="pass")


@rule(
    "CO07",
    "cosmosdb-minimum-tls",
    "Cosmos DB accounts require TLS 1.2",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Clients may otherwise negotiate TLS 1.0 or 1.1, which have known weaknesses and which auditors refuse.",
    reads="minimalTlsVersion",
    absent="Passes: the service's default is Tls12.",
    remedy='Leave minimal_tls_version out or set it to "Tls12".',
    sources=("Azure.Cosmos.MinTLS", "prowler:cosmosdb_account_minimum_tls_version"),
    bad=(Sample(ACCOUNT, {"minimalTlsVersion": "Tls11"}),),
    good=(Sample(ACCOUNT, {"minimalTlsVersion": "Tls12"}),),
)
def minimum_tls(account: ResourceView, _: Parameters) -> Outcome:
    """Check the lowest TLS version."""
    return require(account["minimalTlsVersion"], equals("Tls12"), absent="pass")


RULES: tuple[Rule, ...] = (no_local_auth, no_all_azure_rule, minimum_tls)
