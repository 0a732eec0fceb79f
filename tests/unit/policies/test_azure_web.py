from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import web
from tests.unit.policies.cases import Case, check, check_examples, run

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
VERSIONED = "azure-native:web/v20231201:WebApp"
VERSIONED_SETTINGS = "azure-native:web/v20231201:WebAppApplicationSettings"
REFERENCE = "@Microsoft.KeyVault(SecretUri=https://example.vault.azure.net/secrets/db)"
STORAGE = "DefaultEndpointsProtocol=https;AccountName=example;AccountKey=bm90LWEtcmVhbC1rZXk="


def site(**config: Any) -> dict[str, Any]:
    return {"siteConfig": config}


def setting(name: Any, value: Any, *more: Any) -> dict[str, Any]:
    return site(appSettings=[{"name": "PLAIN", "value": "x"}, {"name": name, "value": value}, *more])


def function(**config: Any) -> dict[str, Any]:
    return {"kind": "functionapp,linux", "siteConfig": config}


def flex(scale: Any, **config: Any) -> dict[str, Any]:
    return function(**config) | {"functionAppConfig": {"scaleAndConcurrency": scale}}


def publishing(ftp: Any, scm: Any, name: Any = "app", feeds: tuple[str, ...] = ()) -> tuple[Sample, ...]:
    fed = {"name": feeds} if feeds else {}
    return (
        Sample(web.FTP_ALLOWED, {"allow": ftp, "name": name}, name="ftp", feeds=fed),
        Sample(web.SCM_ALLOWED, {"allow": scm, "name": name}, name="scm", feeds=fed),
    )


APP = {"name": "app"}
OTHER = Sample(web.APP, {}, name="other")
VALUE = "siteConfig.appSettings[1].value"

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        web.https_only,
        [
            Case("pass", PASS, {"httpsOnly": True}),
            Case("fail", FAIL, {"httpsOnly": False}, path="httpsOnly"),
            Case("absent", FAIL, {}, path="httpsOnly"),
            Case("unknown", OPEN, {"httpsOnly": UNKNOWN}, path="httpsOnly"),
            Case("wrong type", FAIL, {"httpsOnly": "true"}),
            Case("list", FAIL, {"httpsOnly": [True]}),
            Case("slot", FAIL, {}, type=web.SLOT),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        web.minimum_tls,
        [
            Case("pass", PASS, site(minTlsVersion="1.2")),
            Case("newer", PASS, site(minTlsVersion="1.3")),
            Case("fail", FAIL, site(minTlsVersion="1.1"), path="siteConfig.minTlsVersion"),
            Case("absent", FAIL, {}, path="siteConfig.minTlsVersion"),
            Case("absent in the config", FAIL, site(), path="siteConfig.minTlsVersion"),
            Case("unknown", OPEN, site(minTlsVersion=UNKNOWN), path="siteConfig.minTlsVersion"),
            Case("unknown config", OPEN, {"siteConfig": UNKNOWN}),
            Case("wrong type", FAIL, site(minTlsVersion=1.2)),
            Case("wrong type of the config", FAIL, {"siteConfig": "1.2"}),
            Case("list", FAIL, site(minTlsVersion=["1.2"])),
            Case("slot", FAIL, {}, type=web.SLOT),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        web.no_plain_ftp,
        [
            Case("pass", PASS, site(ftpsState="Disabled")),
            Case("pass with FTPS", PASS, site(ftpsState="FtpsOnly")),
            Case("other case", PASS, site(ftpsState="FTPSOnly")),
            Case("strict", FAIL, site(ftpsState="FtpsOnly"), parameters={"strict": True}),
            Case("fail", FAIL, site(ftpsState="AllAllowed"), path="siteConfig.ftpsState"),
            Case("absent", FAIL, {}, path="siteConfig.ftpsState"),
            Case("absent on Flex Consumption", SKIP, flex({})),
            Case("set on Flex Consumption", FAIL, flex({}, ftpsState="AllAllowed")),
            Case("absent, plan unknown", OPEN, {"functionAppConfig": UNKNOWN}, path="functionAppConfig"),
            Case("unknown", OPEN, site(ftpsState=UNKNOWN), path="siteConfig.ftpsState"),
            Case("wrong type", FAIL, site(ftpsState=False)),
            Case("list", FAIL, site(ftpsState=["Disabled"])),
            Case("slot", FAIL, {}, type=web.SLOT),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        web.no_remote_debugging,
        [
            Case("pass", PASS, site(remoteDebuggingEnabled=False)),
            Case("fail", FAIL, site(remoteDebuggingEnabled=True), path="siteConfig.remoteDebuggingEnabled"),
            Case("absent", PASS, {}),
            Case("unknown", OPEN, site(remoteDebuggingEnabled=UNKNOWN), path="siteConfig.remoteDebuggingEnabled"),
            Case("wrong type", FAIL, site(remoteDebuggingEnabled="false")),
            Case("list", FAIL, site(remoteDebuggingEnabled=[False])),
            Case("slot", FAIL, site(remoteDebuggingEnabled=True), type=web.SLOT),
            Case("versioned", FAIL, site(remoteDebuggingEnabled=True), type=VERSIONED),
        ],
    ),
    (
        web.managed_identity,
        [
            Case("pass", PASS, {"identity": {"type": "SystemAssigned"}}),
            Case("both", PASS, {"identity": {"type": "SystemAssigned, UserAssigned"}}),
            Case("fail", FAIL, {"identity": {"type": "None"}}, path="identity.type"),
            Case("a name that only starts like one", FAIL, {"identity": {"type": "SystemAssignedLater"}}),
            Case("absent", FAIL, {}, path="identity.type"),
            Case("unknown", OPEN, {"identity": {"type": UNKNOWN}}, path="identity.type"),
            Case("wrong type", FAIL, {"identity": "SystemAssigned"}),
            Case("list", FAIL, {"identity": {"type": ["SystemAssigned"]}}),
            Case("slot", FAIL, {}, type=web.SLOT),
            Case("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
    (
        web.cors_not_open,
        [
            Case("pass", PASS, site(cors={"allowedOrigins": ["https://example.com", "https://*.example.com"]})),
            Case(
                "one bad element",
                FAIL,
                site(cors={"allowedOrigins": ["https://example.com", "*"]}),
                path="siteConfig.cors.allowedOrigins[1]",
            ),
            Case("a scheme and a star", FAIL, site(cors={"allowedOrigins": ["https://*"]})),
            Case(
                "wildcard with credentials",
                FAIL,
                site(cors={"allowedOrigins": ["https://*.example.com"], "supportCredentials": True}),
            ),
            Case(
                "wildcard, credentials unknown",
                OPEN,
                site(cors={"allowedOrigins": ["https://*.example.com"], "supportCredentials": UNKNOWN}),
                path="siteConfig.cors.supportCredentials",
            ),
            Case(
                "credentials without a wildcard",
                PASS,
                site(cors={"allowedOrigins": ["https://example.com"], "supportCredentials": UNKNOWN}),
            ),
            Case("absent", PASS, {}),
            Case("empty", PASS, site(cors={"allowedOrigins": []})),
            Case("unknown", OPEN, site(cors=UNKNOWN)),
            Case("one unknown element", OPEN, site(cors={"allowedOrigins": ["https://example.com", UNKNOWN]})),
            Case("a failure wins over an unknown", FAIL, site(cors={"allowedOrigins": [UNKNOWN, "*"]})),
            Case("wrong type", FAIL, site(cors={"allowedOrigins": "*"}), path="siteConfig.cors.allowedOrigins"),
            Case("wrong type of an element", FAIL, site(cors={"allowedOrigins": [7]})),
            Case("slot", FAIL, site(cors={"allowedOrigins": ["*"]}), type=web.SLOT),
            Case("versioned", FAIL, site(cors={"allowedOrigins": ["*"]}), type=VERSIONED),
        ],
    ),
    (
        web.no_basic_publishing,
        [
            Case("pass by name", PASS, APP, others=publishing(False, False)),
            Case("pass by dependency", PASS, {}, others=publishing(False, False, UNKNOWN, ("example",))),
            Case("fail", FAIL, APP, others=publishing(True, False)),
            Case("one of two", FAIL, APP, others=publishing(False, True)),
            Case("one is missing", FAIL, APP, others=publishing(False, False)[:1]),
            Case("absent", FAIL, APP),
            Case("of another app", FAIL, APP, others=publishing(False, False, "other")),
            Case(
                "of another app by dependency", FAIL, {}, others=(OTHER, *publishing(False, False, UNKNOWN, ("other",)))
            ),
            Case("unknown", OPEN, APP, others=publishing(UNKNOWN, False)),
            Case("unknown owner", OPEN, APP, others=publishing(False, False, UNKNOWN)),
            Case("name by the provider", PASS, {}, others=publishing(False, False), outputs={"name": "APP"}),
            Case("another name by the provider", FAIL, {}, others=publishing(False, False), outputs={"name": "app1"}),
            Case("name by the provider, unknown", OPEN, {}, others=publishing(False, False)),
            Case("wrong type", FAIL, APP, others=publishing("false", False)),
            Case("allow is missing", FAIL, APP, others=publishing(None, False)),
            Case("versioned", FAIL, APP, type=VERSIONED),
        ],
    ),
    (
        web.no_secrets_in_settings,
        [
            Case("pass", PASS, setting("DB_PASSWORD", REFERENCE)),
            Case("identity form", PASS, setting("AzureWebJobsStorage__accountName", UNKNOWN)),
            Case("App Insights is no secret", PASS, setting("APPLICATIONINSIGHTS_CONNECTION_STRING", Secret(UNKNOWN))),
            Case(
                "nor is the identity that it sends as",
                PASS,
                setting("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", UNKNOWN),
            ),
            Case("fail by name", FAIL, setting("DB_PASSWORD", "example-only"), path=VALUE),
            Case("fail by value", FAIL, setting("AzureWebJobsStorage", STORAGE), path=VALUE),
            Case("fail by value of a secret", FAIL, setting("AzureWebJobsStorage", Secret(STORAGE)), path=VALUE),
            Case("secret", FAIL, setting("DB_PASSWORD", Secret("example-only")), path=VALUE),
            Case("secret without a key", FAIL, setting("X_CONNECTION_STRING", Secret("Endpoint=https://example"))),
            Case("secret reference", PASS, setting("DB_PASSWORD", Secret(REFERENCE))),
            Case("secret of a plain name", PASS, setting("PLAIN_TOO", Secret("example-only"))),
            Case("absent", PASS, {}),
            Case("no value", PASS, setting("DB_PASSWORD", None)),
            Case("null among settings", PASS, site(appSettings=[None])),
            Case("unknown", OPEN, setting("DB_PASSWORD", UNKNOWN), path=VALUE),
            Case("unknown secret", OPEN, setting("DB_PASSWORD", Secret(UNKNOWN)), path=VALUE),
            Case("unknown under a plain name", OPEN, setting("PLAIN_TOO", UNKNOWN), path=VALUE),
            Case("unknown name", OPEN, setting(UNKNOWN, "example-only"), path=VALUE),
            Case("unknown name of a reference", PASS, setting(UNKNOWN, REFERENCE)),
            Case("unknown name, telling value", FAIL, setting(UNKNOWN, STORAGE), path=VALUE),
            Case("unknown setting", OPEN, site(appSettings=[UNKNOWN]), path="siteConfig.appSettings[0]"),
            Case("unknown settings", OPEN, site(appSettings=UNKNOWN), path="siteConfig.appSettings[*]"),
            Case("a failure wins over an unknown", FAIL, setting("A", UNKNOWN, {"name": "DB_PASSWORD", "value": "x1"})),
            Case("wrong type", FAIL, site(appSettings="x"), path="siteConfig.appSettings"),
            Case("wrong type of a setting", FAIL, site(appSettings=["x"]), path="siteConfig.appSettings[0]"),
            Case("wrong type of a value", FAIL, setting("PLAIN_TOO", {"a": 1}), path=VALUE),
            Case("wrong type of a name", PASS, setting(7, "x")),
            Case(
                "connection string",
                FAIL,
                site(connectionStrings=[{"name": "db", "connectionString": "Server=example;Password=example-only"}]),
                path="siteConfig.connectionStrings[0].connectionString",
            ),
            Case(
                "connection string without a credential",
                PASS,
                site(
                    connectionStrings=[
                        {"name": "db", "connectionString": "Server=example;Authentication=Active Directory Default"}
                    ]
                ),
            ),
            Case("wrong type of a connection string", FAIL, site(connectionStrings=[7])),
            Case("null among connection strings", PASS, site(connectionStrings=[None])),
            Case("map, pass", PASS, {"properties": {"DB_PASSWORD": REFERENCE}}, type=web.SETTINGS),
            Case(
                "map, one bad element",
                FAIL,
                {"properties": {"PLAIN": "x", "DB_PASSWORD": "example-only"}},
                type=web.SETTINGS,
                path="properties.DB_PASSWORD",
            ),
            Case("map of a slot", FAIL, {"properties": {"API_KEY": "example-only"}}, type=web.SLOT_SETTINGS),
            Case("map, absent", PASS, {}, type=web.SETTINGS),
            Case("map, unknown", OPEN, {"properties": UNKNOWN}, type=web.SETTINGS),
            Case("map, unknown value", OPEN, {"properties": {"API_KEY": UNKNOWN}}, type=web.SETTINGS),
            Case("map, wrong type", FAIL, {"properties": ["x"]}, type=web.SETTINGS, path="properties"),
            Case("map, versioned", FAIL, {"properties": {"API_KEY": "example-only"}}, type=VERSIONED_SETTINGS),
            Case("slot", FAIL, setting("DB_PASSWORD", "example-only"), type=web.SLOT),
            Case("versioned", FAIL, setting("DB_PASSWORD", "example-only"), type=VERSIONED),
        ],
    ),
    (
        web.function_scale_bound,
        [
            Case("pass", PASS, function(functionAppScaleLimit=10)),
            Case("numbers are floats", PASS, function(functionAppScaleLimit=100.0)),
            Case("fail", FAIL, function(functionAppScaleLimit=101), path="siteConfig.functionAppScaleLimit"),
            Case("zero is no bound", FAIL, function(functionAppScaleLimit=0)),
            Case("parameter", FAIL, function(functionAppScaleLimit=11), parameters={"maximum": 10}),
            Case("absent", FAIL, function(), path="siteConfig.functionAppScaleLimit"),
            Case("Flex Consumption, pass", PASS, flex({"maximumInstanceCount": 40})),
            Case(
                "Flex Consumption, absent",
                FAIL,
                flex({}),
                path="functionAppConfig.scaleAndConcurrency.maximumInstanceCount",
            ),
            Case("Flex Consumption knows one of the two", FAIL, flex({}, functionAppScaleLimit=10)),
            Case("Flex Consumption, unknown", OPEN, flex(UNKNOWN)),
            Case("unknown plan", OPEN, function(functionAppScaleLimit=10) | {"functionAppConfig": UNKNOWN}),
            Case("unknown", OPEN, function(functionAppScaleLimit=UNKNOWN), path="siteConfig.functionAppScaleLimit"),
            Case("unknown kind", OPEN, {"kind": UNKNOWN}, path="kind"),
            Case("no function app", SKIP, {"kind": "app,linux"}),
            Case("absent kind", SKIP, {}),
            Case("wrong type", FAIL, function(functionAppScaleLimit="many")),
            Case("wrong type of the plan", FAIL, function() | {"functionAppConfig": "FC1"}),
            Case("list", FAIL, function(functionAppScaleLimit=[10])),
            Case("slot", FAIL, function(), type=web.SLOT),
            Case("versioned", FAIL, function(), type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", web.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in web.RULES] == [rule.code for rule, _ in TABLE]


@pytest.mark.parametrize("value", ["example-only-0123", Secret("example-only-0123"), STORAGE, ["example-only-0123"]])
@pytest.mark.parametrize("name", ["DB_PASSWORD", UNKNOWN])
def test_no_finding_shows_the_value_of_a_setting(name: Any, value: Any) -> None:
    samples = [
        Sample(web.APP, setting(name, value)),
        Sample(web.APP, site(connectionStrings=[{"name": name, "connectionString": value}]), name="second"),
        Sample(web.APP, site(appSettings=[value]), name="third"),
        Sample(web.SETTINGS, {"properties": {"DB_PASSWORD": value}}, name="fourth"),
        Sample(web.SETTINGS, {"properties": value}, name="fifth"),
    ]

    shown = repr(run(web.no_secrets_in_settings, samples))

    assert "fail" in shown
    assert "example-only-0123" not in shown
    assert "bm90LWEtcmVhbC1rZXk" not in shown


def test_a_finding_names_the_setting_and_the_reason() -> None:
    (finding,) = run(web.no_secrets_in_settings, [Sample(web.APP, setting("AzureWebJobsStorage", STORAGE))])

    expected = (
        'App setting "AzureWebJobsStorage" holds a credential in plain text: it holds a storage or Cosmos DB account '
        "key (AccountKey=)."
    )
    assert expected == finding.message
