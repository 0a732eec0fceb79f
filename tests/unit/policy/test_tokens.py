from __future__ import annotations

import pytest

from ringfence.policy.tokens import normalise

TOKENS = [
    ("azure-native:storage:StorageAccount", "azure-native:storage:StorageAccount"),
    ("azure-native:storage/v20220901:StorageAccount", "azure-native:storage:StorageAccount"),
    ("azure-native:storage/v20220901preview:StorageAccount", "azure-native:storage:StorageAccount"),
    ("azure-native:storage/v20220901privatepreview:StorageAccount", "azure-native:storage:StorageAccount"),
    ("azure-native:storage/v2022:StorageAccount", "azure-native:storage/v2022:StorageAccount"),
    ("azure-native:documentdb:DatabaseAccount", "azure-native:cosmosdb:DatabaseAccount"),
    ("azure-native:documentdb/v20230415:SqlResourceSqlContainer", "azure-native:cosmosdb:SqlResourceSqlContainer"),
    ("azure-native:insights:DiagnosticSetting", "azure-native:monitor:DiagnosticSetting"),
    ("azure-native:insights/v20210501preview:DiagnosticSetting", "azure-native:monitor:DiagnosticSetting"),
    ("azure-native:insights:Component", "azure-native:applicationinsights:Component"),
    ("azure-native:insights:Workbook", "azure-native:insights:Workbook"),
    ("aws:lambda/function:Function", "aws:lambda/function:Function"),
    ("other:storage/v20220901:StorageAccount", "other:storage/v20220901:StorageAccount"),
    ("pulumi:providers:azure-native", "pulumi:providers:azure-native"),
    ("azure-native:storage", "azure-native:storage"),
    ("", ""),
]


@pytest.mark.parametrize(("token", "expected"), TOKENS)
def test_a_token_loses_its_version_and_follows_its_module(token: str, expected: str) -> None:
    assert normalise(token) == expected
    assert normalise(expected) == expected
