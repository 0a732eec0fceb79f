from __future__ import annotations

from dataclasses import replace

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import storage
from tests.unit.policies.cases import Case, check, check_examples, run

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
VERSIONED = "azure-native:storage/v20220901:StorageAccount"
OLD = "azure-native:storage/v20180701:StorageAccount"
CONTAINER = "azure-native:storage/v20220901:BlobContainer"
SERVICE = "azure-native:storage:BlobServiceProperties"
MINE = {"accountName": ("example",)}
ACCOUNT = {"accountName": "mine"}


def service(policy: object, name: object = "mine", feeds: dict[str, tuple[str, ...]] | None = None) -> Sample:
    return Sample(SERVICE, {"accountName": name, "deleteRetentionPolicy": policy}, name="blobs", feeds=feeds or {})


def of_containers(case: Case) -> Case:
    """Return a case about deleted blobs as one about deleted containers."""
    renamed = {"deleteRetentionPolicy": "containerDeleteRetentionPolicy"}
    others = tuple(
        replace(item, inputs={renamed.get(key, key): value for key, value in item.inputs.items()})
        for item in case.others
    )
    return replace(case, others=others)


KEPT = {"enabled": True, "days": 7}
OTHER = Sample(storage.ACCOUNT, {}, name="other")
RANDOM = Sample("random:index/randomString:RandomString", {"length": 8}, name="random")

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        storage.https_only,
        [
            Case("pass", PASS, {"enableHttpsTrafficOnly": True}),
            Case("fail", FAIL, {"enableHttpsTrafficOnly": False}, path="enableHttpsTrafficOnly"),
            Case("absent", PASS, {}),
            Case("absent in an old version", FAIL, {}, type=OLD, path="enableHttpsTrafficOnly"),
            Case("unknown", OPEN, {"enableHttpsTrafficOnly": UNKNOWN}, path="enableHttpsTrafficOnly"),
            Case("wrong type", FAIL, {"enableHttpsTrafficOnly": "false"}),
            Case("list", FAIL, {"enableHttpsTrafficOnly": [True]}),
            Case("secret", FAIL, {"enableHttpsTrafficOnly": Secret(False)}),
            Case("versioned", FAIL, {"enableHttpsTrafficOnly": False}, type=VERSIONED),
            Case("versioned, absent", PASS, {}, type=VERSIONED),
        ],
    ),
    (
        storage.minimum_tls,
        [
            Case("pass", PASS, {"minimumTlsVersion": "TLS1_2"}),
            Case("fail", FAIL, {"minimumTlsVersion": "TLS1_0"}, path="minimumTlsVersion"),
            Case("refused by the service", FAIL, {"minimumTlsVersion": "TLS1_3"}),
            Case("absent", FAIL, {}, path="minimumTlsVersion"),
            Case("null", FAIL, {"minimumTlsVersion": None}, path="minimumTlsVersion"),
            Case("unknown", OPEN, {"minimumTlsVersion": UNKNOWN}, path="minimumTlsVersion"),
            Case("wrong type", FAIL, {"minimumTlsVersion": 12}),
            Case("list", FAIL, {"minimumTlsVersion": ["TLS1_2"]}),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        storage.no_anonymous_blobs,
        [
            Case("pass", PASS, {"allowBlobPublicAccess": False}),
            Case("fail", FAIL, {"allowBlobPublicAccess": True}, path="allowBlobPublicAccess"),
            Case("absent", PASS, {}),
            Case("unknown", OPEN, {"allowBlobPublicAccess": UNKNOWN}, path="allowBlobPublicAccess"),
            Case("wrong type", FAIL, {"allowBlobPublicAccess": "false"}),
            Case("list", FAIL, {"allowBlobPublicAccess": [False]}),
            Case("versioned", FAIL, {"allowBlobPublicAccess": True}, type=VERSIONED),
        ],
    ),
    (
        storage.private_container,
        [
            Case("pass", PASS, {"publicAccess": "None"}),
            Case("fail", FAIL, {"publicAccess": "Container"}, path="publicAccess"),
            Case("absent", PASS, {}),
            Case("unknown", OPEN, {"publicAccess": UNKNOWN}, path="publicAccess"),
            Case("wrong type", FAIL, {"publicAccess": False}),
            Case("list", FAIL, {"publicAccess": ["None"]}),
            Case("versioned", FAIL, {"publicAccess": "Blob"}, type=CONTAINER),
        ],
    ),
    (
        storage.no_cross_tenant_replication,
        [
            Case("pass", PASS, {"allowCrossTenantReplication": False}),
            Case("fail", FAIL, {"allowCrossTenantReplication": True}, path="allowCrossTenantReplication"),
            Case("absent", PASS, {}),
            Case("unknown", OPEN, {"allowCrossTenantReplication": UNKNOWN}, path="allowCrossTenantReplication"),
            Case("wrong type", FAIL, {"allowCrossTenantReplication": 0}),
            Case("list", FAIL, {"allowCrossTenantReplication": [False]}),
            Case("versioned", FAIL, {"allowCrossTenantReplication": True}, type=VERSIONED),
        ],
    ),
    (
        storage.blob_soft_delete,
        [
            Case("pass by name", PASS, ACCOUNT, others=(service(KEPT),)),
            Case("pass by name in other case", PASS, ACCOUNT, others=(service(KEPT, name="Mine"),)),
            Case("pass by dependency", PASS, {}, others=(service(KEPT, UNKNOWN, MINE),)),
            Case("numbers are floats", PASS, ACCOUNT, others=(service({"enabled": True, "days": 7.0}),)),
            Case("fail", FAIL, ACCOUNT, others=(service({"enabled": False, "days": 7}),)),
            Case("too short", FAIL, ACCOUNT, others=(service({"enabled": True, "days": 6}),)),
            Case("parameter", FAIL, ACCOUNT, parameters={"days": 8}, others=(service(KEPT),)),
            Case("no service at all", FAIL, ACCOUNT),
            Case("another account's service", FAIL, ACCOUNT, others=(service(KEPT, name="other"),)),
            Case(
                "another account's service, by dependency",
                FAIL,
                ACCOUNT,
                others=(OTHER, service(KEPT, UNKNOWN, {"accountName": ("other",)})),
            ),
            Case("absent", FAIL, ACCOUNT, others=(service(None),)),
            Case("days absent", FAIL, ACCOUNT, others=(service({"enabled": True}),)),
            Case("unknown policy", OPEN, ACCOUNT, others=(service(UNKNOWN),)),
            Case("unknown days", OPEN, ACCOUNT, others=(service({"enabled": True, "days": UNKNOWN}),)),
            Case("unknown owner", OPEN, ACCOUNT, others=(service(KEPT, UNKNOWN),)),
            Case(
                "both names from one suffix",
                OPEN,
                {"accountName": UNKNOWN},
                feeds={"accountName": ("random",)},
                others=(RANDOM, service(KEPT, UNKNOWN, {"accountName": ("random",)})),
            ),
            Case(
                "a suffix cannot be a name that the provider makes up",
                FAIL,
                {},
                others=(RANDOM, service(KEPT, UNKNOWN, {"accountName": ("random",)})),
            ),
            Case("wrong type", FAIL, ACCOUNT, others=(service("on"),)),
            Case("one good, one bad", FAIL, ACCOUNT, others=(service(KEPT), service({"enabled": False, "days": 9}))),
            Case("files only", SKIP, {"kind": "FileStorage"}),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        storage.no_local_users,
        [
            Case("pass", PASS, {"isLocalUserEnabled": False, "isSftpEnabled": False}),
            Case("fail", FAIL, {"isLocalUserEnabled": True}, path="isLocalUserEnabled"),
            Case("one of two", FAIL, {"isLocalUserEnabled": False, "isSftpEnabled": True}, path="isSftpEnabled"),
            Case("absent", PASS, {}),
            Case("unknown", OPEN, {"isSftpEnabled": UNKNOWN}, path="isSftpEnabled"),
            Case("a failure wins over an unknown", FAIL, {"isLocalUserEnabled": UNKNOWN, "isSftpEnabled": True}),
            Case("wrong type", FAIL, {"isSftpEnabled": "no"}),
            Case("list", FAIL, {"isSftpEnabled": [False]}),
            Case("versioned", FAIL, {"isSftpEnabled": True}, type=VERSIONED),
        ],
    ),
]
BLOBS = next(cases for rule, cases in TABLE if rule is storage.blob_soft_delete)
TABLE.insert(-1, (storage.container_soft_delete, [of_containers(case) for case in BLOBS]))  # in the order of the rules
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", storage.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in storage.RULES] == [rule.code for rule, _ in TABLE]


def test_a_finding_about_another_resource_names_it() -> None:
    (finding,) = run(
        storage.blob_soft_delete, [Sample(storage.ACCOUNT, ACCOUNT), service({"enabled": True, "days": 3})]
    )

    assert finding.path == ""
    assert finding.message == "blobs: deleteRetentionPolicy.days is 3, expected a number from 7 to 365 days."
