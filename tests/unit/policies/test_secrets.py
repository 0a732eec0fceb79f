from __future__ import annotations

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence_policies.common.secrets import is_reference, looks_secret, names_secret

# No value in this file is a real credential. Prefixes are split where a scanner would take them for one.
KEY = "bm90LWEtcmVhbC1rZXk="
STORAGE = f"DefaultEndpointsProtocol=https;AccountName=example;AccountKey={KEY};EndpointSuffix=core.windows.net"
BUS = f"Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={KEY}"
SQL = "Server=tcp:example.database.windows.net,1433;Database=db;"
INSIGHTS = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=https://example.com/"

SECRET_NAMES = [
    "DB_PASSWORD",
    "DbPassword",
    "DB_PWD",
    "password",
    "DB_PASSWORD_2",
    "DB_PASSWORD_PROD",
    "Auth__ClientSecret",
    "Conn__clientSecret",
    "MICROSOFT_PROVIDER_AUTHENTICATION_SECRET",
    "SECRET_KEY_BASE",
    "API_KEY",
    "apiKey",
    "APIKey",
    "AZURE_OPENAI_API_KEY",
    "COSMOS_KEY",
    "COSMOS_DB_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "HF_TOKEN",
    "ACCESSTOKEN",
    "STORAGE_CONNECTION_STRING",
    "SqlConnectionString",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
]
PLAIN_NAMES = [
    "",
    "_",
    "PWD",  # the shell's working directory
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPINSIGHTS_INSTRUMENTATIONKEY",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "AZURE_CLIENT_ID",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__blobServiceUri",
    "Bus__fullyQualifiedNamespace",
    "Bus__credential",
    "Bus__clientId",
    "SECRET_NAME",
    "DB_SECRET_ARN",
    "PASSWORD_FILE",
    "TOKEN_URL",
    "TOKEN_LIMIT",
    "MAX_TOKENS",
    "MAX_TOKEN",
    "ENABLE_PASSWORD",
    "COSMOS_PARTITION_KEY",
    "S3_KEY",
    "PUBLIC_KEY",
    "KEY",
    "KEY_VAULT_URI",
    "AzureWebJobsSecretStorageType",
    "FUNCTIONS_WORKER_RUNTIME",
    "AWS_ACCESS_KEY_ID",  # by itself no credential; its value is found by its shape
]
SECRET_VALUES = [
    STORAGE,
    BUS,
    "https://example.blob.core.windows.net/c?sv=2024&sig=bm90LWEtcmVhbC1rZXk%3D",
    "SharedAccessSignature=sv=2024",
    SQL + "User ID=app;Password=example-only",
    "host.example.com:6380,password=example-only,ssl=True",
    "redis://:example-only@host.example.com:6379",
    "postgres://app:example-only@host.example.com/db",
    "AKIA" + "A" * 16,
    "-----BEGIN RSA PRIVATE" + " KEY-----\nMII…",
    "-----BEGIN PRIVATE" + " KEY-----",
    "ghp" + "_" + "a" * 36,
    "xoxb" + "-" + "1" * 24,
    "abc8Q~" + "a" * 34,
]
PLAIN_VALUES = [
    "",
    "  ",
    "python",
    "4096",
    "https://example.com/a:b?c=d@e",
    "https://example.vault.azure.net/secrets/db",
    "AccountName=example;AccountKey=<key>",
    "AccountName=example;AccountKey=",
    "AccountKey=${KEY}",
    INSIGHTS,
    SQL + "Authentication=Active Directory Managed Identity",
    "SharedAccessKeyName=Root",
    "?sig=short",
    "AKIA-short",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_name_says_that_it_is_a_credential(name: str) -> None:
    assert names_secret(name)
    assert looks_secret(name, "example-only") == "its name says that it is a credential"


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_name_says_nothing(name: str) -> None:
    assert not names_secret(name)
    assert None is looks_secret(name, "example-only")


@pytest.mark.parametrize("value", SECRET_VALUES)
def test_a_value_looks_like_a_credential_under_any_name(value: str) -> None:
    reason = looks_secret("SETTING", value)

    assert reason is not None
    assert value not in reason
    assert reason == looks_secret("SETTING", Secret(value))


@pytest.mark.parametrize("value", PLAIN_VALUES)
def test_a_value_looks_like_none(value: str) -> None:
    assert None is looks_secret("SETTING", value)


@pytest.mark.parametrize(
    "value",
    [
        "@Microsoft.KeyVault(SecretUri=https://example.vault.azure.net/secrets/db)",
        "@Microsoft.KeyVault(VaultName=example;SecretName=db)",
        "@Microsoft.AppConfiguration(Endpoint=https://example.azconfig.io; Key=db)",
        "https://example.vault.azure.net/secrets/db/0123",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db",
        "{{resolve:secretsmanager:db}}",
    ],
)
def test_a_reference_is_no_credential_whatever_its_name(value: str) -> None:
    assert is_reference(value)
    assert None is looks_secret("DB_PASSWORD", value)


@pytest.mark.parametrize("value", ["", "@Microsoft.KeyVault()", "see https://example.vault.azure.net/", "arn:aws"])
def test_no_reference(value: str) -> None:
    assert not is_reference(value)


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SQL_CONNECTION_STRING", SQL + "Authentication=Active Directory Default", False),
        ("REDIS_CONNECTION_STRING", "example.redis.cache.windows.net:6380,ssl=True", False),
        ("COSMOS_CONNECTION_STRING", "AccountEndpoint=https://example.documents.azure.com:443/;", False),
        ("APPINSIGHTS_CONNECTION_STRING", INSIGHTS, False),
        ("BUS_CONNECTION_STRING", "Endpoint=sb://example/;SharedAccessKeyName=Root", False),
        ("BUS_CONNECTION_STRING", BUS, True),
        ("X_CONNECTION_STRING", "something nobody can read", True),
        ("X_CONNECTION_STRING", "Endpoint=https://example;ApiKey=ab", True),
    ],
)
def test_a_connection_string_may_be_without_a_credential(name: str, value: str, secret: bool) -> None:
    assert secret == (looks_secret(name, value) is not None)


@pytest.mark.parametrize("value", [None, UNKNOWN, Secret(UNKNOWN), True, False, "true", "False", "", ["x"], {"a": "x"}])
def test_what_is_no_text_is_no_credential(value: object) -> None:
    assert None is looks_secret("DB_PASSWORD", value)


def test_a_number_may_be_a_password() -> None:
    assert looks_secret("DB_PASSWORD", 12345678) is not None
    assert None is looks_secret("PORT", 8080)


def test_long_values_take_no_time() -> None:
    for piece in ("a", " ", "=", "a:", "://", ";a", "AccountKey=", "-----BEGIN ", "_", "aA"):
        looks_secret("DB_CONNECTION_STRING", piece * 20_000)
        looks_secret(piece * 20_000, "x")
