from __future__ import annotations

import json

import yaml

from ringfence.reports.explain import explain_rule, list_rules, rules_json
from tests.unit.reports.examples import CUSTOMER_KEY, MINIMUM_TLS, RULES, SOFT_DELETE


def test_the_list_of_rules() -> None:
    assert (
        list_rules(RULES)
        == """\
Code  Name                  Level                Severity  Title
ST02  storage-minimum-tls   mandatory            high      Storage accounts require TLS 1.2
ST14  storage-soft-delete   advisory             medium    Deleted blobs can be restored
ST13  storage-customer-key  off (customer-keys)  low       Storage accounts are encrypted by the customer's key

3 rules. ringfence rules CODE explains one.
"""
    )


def test_a_list_of_one_rule() -> None:
    assert "\n1 rule. " in list_rules([MINIMUM_TLS])


def test_a_rule_in_full() -> None:
    assert (
        explain_rule(SOFT_DELETE)
        == """\
ST14 storage-soft-delete
Deleted blobs can be restored
(advisory, medium severity)

Why
  A deleted blob is gone otherwise.

Judges
  azure-native:storage:StorageAccount

Reads
  deleteRetentionPolicy.days, and other resources of the stack

When it is absent
  Fails: soft delete is off.

Parameters
  minimumDays
    Days for which a deleted blob is kept. Takes a whole number from 1 to 365; 7
    by default.
  kinds
    What is asked for. Takes a list of strings out of blob, container; blob by
    default.

Fix
  Add BlobServiceProperties with a delete_retention_policy.

Fails
  - type: azure-native:storage:StorageAccount
    inputs: {}

Passes
  - type: azure-native:storage:StorageAccount
    name: artifacts
    inputs: {}
  - type: azure-native:storage:BlobServiceProperties
    name: blobs
    inputs:
      accountName: '[unknown]'
      deleteRetentionPolicy:
        enabled: true
        days: 7
    feeds:
      accountName:
      - artifacts

Asked by
  project
"""
    )


def test_frameworks_are_named_with_their_version() -> None:
    assert "Frameworks\n  CIS Azure Foundations 5.0: 9.3.6\n" in explain_rule(MINIMUM_TLS)


def test_a_rule_that_is_off_says_what_turns_it_on() -> None:
    assert "(off, turned on by --profile customer-keys; low severity)" in explain_rule(CUSTOMER_KEY)


def test_text_wraps_at_the_width_and_codes_stay_whole() -> None:
    text = explain_rule(SOFT_DELETE, width=30)

    assert "  Add BlobServiceProperties\n  with a\n  delete_retention_policy.\n" in text


def test_examples_are_yaml() -> None:
    text = explain_rule(SOFT_DELETE)
    passing = text.split("Passes\n")[1].split("\nAsked by")[0]

    assert [item["name"] for item in yaml.safe_load(passing)] == ["artifacts", "blobs"]


def test_rules_as_json() -> None:
    document = json.loads(rules_json(RULES))

    assert document["version"] == 1
    assert [rule["code"] for rule in document["rules"]] == ["ST02", "ST14", "ST13"]
    assert document["rules"][1]["parameters"] == [
        {
            "name": "minimumDays",
            "type": "integer",
            "description": "Days for which a deleted blob is kept.",
            "default": 7,
            "minimum": 1,
            "maximum": 365,
        },
        {
            "name": "kinds",
            "type": "array",
            "description": "What is asked for.",
            "default": ["blob"],
            "items": {"type": "string", "enum": ["blob", "container"]},
        },
    ]
    assert document["rules"][1]["good"][1]["feeds"] == {"accountName": ["artifacts"]}
    assert document["rules"][0]["frameworks"] == [
        {"name": "CIS Azure Foundations", "version": "5.0", "reference": "9.3.6"}
    ]
