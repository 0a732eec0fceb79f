"""Azure App Service: web apps, function apps, their slots and settings.

A function app is a web app whose `kind` contains `functionapp`. It runs on the Flex Consumption plan if it has a
`functionAppConfig`; that plan knows some settings of the other plans no more.
"""

from __future__ import annotations

import re

from ringfence.policy.checks import (
    between,
    equals,
    every,
    failed,
    is_not,
    is_true,
    not_applicable,
    one_of,
    require,
    satisfying,
    undecided,
)
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import describe
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.app_settings import connection_string, listed_setting, malformed, plain_setting
from ringfence_policies.azure.arm import HAS_IDENTITY, about, cis, mcsb, named_by

__all__ = ["RULES"]

APP = "azure-native:web:WebApp"
SLOT = "azure-native:web:WebAppSlot"
SETTINGS = "azure-native:web:WebAppApplicationSettings"
SLOT_SETTINGS = "azure-native:web:WebAppApplicationSettingsSlot"
FTP_ALLOWED = "azure-native:web:WebAppFtpAllowed"
SCM_ALLOWED = "azure-native:web:WebAppScmAllowed"


@rule(
    "WA01",
    "web-https-only",
    "Web and function apps accept HTTPS only",
    types=(APP, SLOT),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Over plain HTTP, requests, cookies and function keys cross the network readable by anyone on the way.",
    reads="httpsOnly",
    absent="Fails: the service's default is false.",
    remedy="Set https_only=True.",
    frameworks=(*cis(v21="9.2", v30="9.1"), *mcsb("DP-3")),
    sources=(
        "CKV_AZURE_14",
        "CKV_AZURE_70",
        "CKV_AZURE_153",
        "Azure.AppService.UseHTTPS",
        "AzP a4af4a39",
        "AzP 6d555dd1",
    ),
    bad=(Sample(APP, {"httpsOnly": False}),),
    good=(Sample(APP, {"httpsOnly": True}),),
    remediation={"httpsOnly": True},
)
def https_only(app: ResourceView, _: Parameters) -> Outcome:
    """Check that plain HTTP is redirected to HTTPS."""
    return require(app["httpsOnly"], is_true(), absent="The service then answers plain HTTP too.")


@rule(
    "WA02",
    "web-minimum-tls",
    "Web and function apps require TLS 1.2",
    types=(APP, SLOT),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Clients may otherwise negotiate TLS 1.0 or 1.1, which have known weaknesses and which auditors refuse.",
    reads="siteConfig.minTlsVersion",
    absent="Fails: new apps get 1.2, but an app that exists keeps what it has, so it has to be said.",
    remedy='Set site_config.min_tls_version="1.2" or "1.3".',
    frameworks=(*cis(v21="9.3", v30="9.4"), *mcsb("DP-3", "NS-8")),
    sources=(
        "CKV_AZURE_15",
        "CKV_AZURE_145",
        "CKV_AZURE_154",
        "Azure.AppService.MinTLS",
        "AzP f0e6e85b",
        "AzP f9d614c5",
    ),
    bad=(Sample(APP, {"siteConfig": {"minTlsVersion": "1.0"}}),),
    good=(Sample(APP, {"siteConfig": {"minTlsVersion": "1.2"}}),),
    remediation={"siteConfig.minTlsVersion": "1.2"},
)
def minimum_tls(app: ResourceView, _: Parameters) -> Outcome:
    """Check the lowest TLS version of the app itself."""
    absent = "The version then depends on when the app was made."
    return require(app["siteConfig"]["minTlsVersion"], one_of("1.2", "1.3"), absent=absent)


@rule(
    "WA04",
    "web-no-plain-ftp",
    "Web and function apps refuse plain FTP",
    types=(APP, SLOT),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="FTP sends the publishing password and the code in clear text; who reads them owns the app.",
    reads="siteConfig.ftpsState; functionAppConfig",
    absent="Fails: older API versions take it for AllAllowed. Not applicable on Flex Consumption, which has no FTP.",
    remedy='Set site_config.ftps_state="Disabled", or "FtpsOnly" where somebody still deploys by FTPS.',
    frameworks=(*cis(v21="9.9", v30="9.3"), *mcsb("DP-3")),
    sources=("CKV_AZURE_78", "Azure.AppService.WebSecureFtp", "AzP 4d24b6d4", "AzP 399b2637"),
    parameters=(Parameter("strict", "boolean", False, "Whether only Disabled is good, and FtpsOnly is not."),),
    bad=(Sample(APP, {"siteConfig": {"ftpsState": "AllAllowed"}}),),
    good=(Sample(APP, {"siteConfig": {"ftpsState": "Disabled"}}),),
)
def no_plain_ftp(app: ResourceView, parameters: Parameters) -> Outcome:
    """Check the state of FTP and FTPS."""
    state = app["siteConfig"]["ftpsState"]
    flex = app["functionAppConfig"]
    if state.absent and flex.unknown:
        return undecided(flex)
    if state.absent and flex.present:
        return not_applicable("Apps on the Flex Consumption plan have no FTP.")
    test = equals("Disabled") if parameters["strict"] else one_of("Disabled", "FtpsOnly")
    return require(state, test, absent="Plain FTP may then be allowed.")


@rule(
    "WA05",
    "web-no-remote-debugging",
    "Web and function apps have remote debugging off",
    types=(APP, SLOT),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="It opens inbound ports through which the running process, its memory and its settings can be read.",
    reads="siteConfig.remoteDebuggingEnabled",
    absent="Passes: the service's default is false.",
    remedy="Leave site_config.remote_debugging_enabled out or set it to False.",
    frameworks=(*cis(v30="9.12"), *mcsb("PV-2")),
    sources=("CKV_AZURE_72", "CKV_AZURE_155", "Azure.AppService.RemoteDebug", "AzP cb510bfd", "AzP 0e60b895"),
    bad=(Sample(APP, {"siteConfig": {"remoteDebuggingEnabled": True}}),),
    good=(Sample(APP, {"siteConfig": {"remoteDebuggingEnabled": False}}),),
)
def no_remote_debugging(app: ResourceView, _: Parameters) -> Outcome:
    """Check that remote debugging is not switched on."""
    return require(app["siteConfig"]["remoteDebuggingEnabled"], is_not(True), absent="pass")


@rule(
    "WA06",
    "web-managed-identity",
    "Web and function apps have a managed identity",
    types=(APP, SLOT),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Without an identity of its own, an app needs keys and connection strings to reach anything.",
    reads="identity.type",
    absent="Fails: an app has no identity unless it says so.",
    remedy='Set identity.type to "SystemAssigned", "UserAssigned" or "SystemAssigned, UserAssigned".',
    frameworks=(*cis(v21="9.4", v30="9.5"), *mcsb("IM-3")),
    sources=(
        "CKV_AZURE_16",
        "CKV_AZURE_71",
        "Azure.AppService.ManagedIdentity",
        "AzP 2b9ad585",
        "AzP 0da106f2",
    ),
    bad=(Sample(APP, {"identity": {"type": "None"}}),),
    good=(Sample(APP, {"identity": {"type": "SystemAssigned"}}),),
)
def managed_identity(app: ResourceView, _: Parameters) -> Outcome:
    """Check that the app has an identity of either kind."""
    return require(app["identity"]["type"], HAS_IDENTITY, absent="The app then has no identity.")


# "*" is what the service takes for every origin. An origin of a scheme and a star, as people write it by mistake,
# is refused too.
_ANY_ORIGIN = re.compile(r"\s*(?:[A-Za-z]+://)?\*(?::(?:\d+|\*))?/?\s*")
_ORIGIN = satisfying(lambda value: _ANY_ORIGIN.fullmatch(value) is None, "an origin that is not a wildcard", "string")
_FULL_ORIGIN = satisfying(
    lambda value: "*" not in value, "an origin without a wildcard, because credentials are allowed", "string"
)


@rule(
    "WA09",
    "web-cors-not-open",
    "Web and function apps do not open CORS to every origin",
    types=(APP, SLOT),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why='With "*", any web page that a user visits may call the app from their browser and read the answer.',
    reads="siteConfig.cors.allowedOrigins, siteConfig.cors.supportCredentials",
    absent="Passes: no other origin is then allowed.",
    remedy="Name the origins in site_config.cors.allowed_origins; none may hold a wildcard when support_credentials "
    "is on.",
    frameworks=mcsb("PV-2"),
    sources=("CKV_AZURE_57", "CKV_AZURE_62", "AzP 5744710e", "AzP 0820b7b9"),
    bad=(Sample(APP, {"siteConfig": {"cors": {"allowedOrigins": ["https://example.com", "*"]}}}),),
    good=(Sample(APP, {"siteConfig": {"cors": {"allowedOrigins": ["https://example.com"]}}}),),
)
def cors_not_open(app: ResourceView, _: Parameters) -> list[Outcome]:
    """Check each allowed origin."""
    cors = app["siteConfig"]["cors"]
    credentials = cors["supportCredentials"]
    test = _FULL_ORIGIN if credentials.value is True else _ORIGIN
    outcomes = every(cors["allowedOrigins"].elements(), lambda origin: require(origin, test, absent="pass"))
    partial = [item for item in cors["allowedOrigins"].elements() if "*" in (item.text or "")]
    if credentials.unknown and partial:
        outcomes.append(undecided(credentials))
    return outcomes


@rule(
    "WA14",
    "web-no-basic-publishing",
    "Web and function apps have no basic publishing credentials",
    types=(APP,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    graph=True,
    why="The publishing user and password of an app deploy code past Entra ID, its conditions and its logs.",
    reads="WebAppFtpAllowed and WebAppScmAllowed of the app: allow",
    absent="Fails: both are allowed until a resource of the stack forbids them.",
    remedy="Add a WebAppFtpAllowed and a WebAppScmAllowed for the app, both with allow=False.",
    frameworks=(*cis(v30="9.6"), *mcsb("IM-1", version="2")),
    sources=("AzP 871b205b", "AzP aede300b"),
    bad=(
        Sample(APP, {"name": "app"}),
        Sample(FTP_ALLOWED, {"allow": False, "name": "app"}, name="ftp"),
        Sample(SCM_ALLOWED, {"allow": True, "name": "app"}, name="scm"),
    ),
    good=(
        Sample(APP, {"name": "app"}),
        Sample(FTP_ALLOWED, {"allow": False, "name": "app"}, name="ftp", feeds={"name": ("example",)}),
        Sample(SCM_ALLOWED, {"allow": False, "name": "app"}, name="scm", feeds={"name": ("example",)}),
    ),
)
def no_basic_publishing(app: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the two resources that forbid basic authentication for FTP and for the deployment site."""
    outcomes: list[Outcome] = []
    for type_, way in ((FTP_ALLOWED, "FTP"), (SCM_ALLOWED, "the deployment (SCM) site")):
        switches, open_question = named_by(app, "name", type_, "name")
        outcomes.extend(about(item, require(item["allow"], equals(False), absent="fail")) for item in switches)
        kind = type_.rpartition(":")[2]
        if not switches and open_question:
            outcomes.append(undecided(None, f"It is not known whether a {kind} of the stack belongs to this app."))
        elif not switches:
            outcomes.append(
                failed(
                    None,
                    f"No {kind} of the stack forbids basic publishing credentials for {way}.",
                    expected=f"a {kind} with allow=false",
                )
            )
    return outcomes


@rule(
    "WA19",
    "web-no-secrets-in-settings",
    "App settings hold no credentials",
    types=(APP, SLOT, SETTINGS, SLOT_SETTINGS),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Everyone who may read the app's configuration reads its settings, and so do its deployment site, its logs "
    "of failed starts and the stack's state.",
    reads="siteConfig.appSettings[].value, siteConfig.connectionStrings[].connectionString; properties of "
    "WebAppApplicationSettings",
    absent="Passes: no settings, no credentials.",
    remedy="Put the value into a Key Vault and refer to it with @Microsoft.KeyVault(SecretUri=…), or connect by "
    "managed identity (…__fullyQualifiedNamespace, …__accountName).",
    frameworks=cis(v21="9.10", v30="9.11"),
    sources=("CKV_SECRET", "project"),
    bad=(Sample(APP, {"siteConfig": {"appSettings": [{"name": "DB_PASSWORD", "value": "example-only"}]}}),),
    good=(
        Sample(
            APP,
            {
                "siteConfig": {
                    "appSettings": [
                        {"name": "AzureWebJobsStorage__accountName", "value": "examplestorage"},
                        {
                            "name": "DB_PASSWORD",
                            "value": "@Microsoft.KeyVault(SecretUri=https://example.vault.azure.net/secrets/db)",
                        },
                    ]
                }
            },
        ),
    ),
)
def no_secrets_in_settings(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check every setting, wherever it is set. Values never get into a message."""
    if resource.type in (SETTINGS, SLOT_SETTINGS):
        outcomes = []
        for name, value in resource["properties"].entries():
            if value.path == "properties":
                outcomes.append(malformed(value, "an object of names and values"))
            else:
                known = None if resource["properties"].unknown else name
                outcomes.append(plain_setting(known, f"App setting {describe(name)}", value))
        return outcomes
    config = resource["siteConfig"]
    outcomes = []
    for place, judge in ((config["appSettings"], listed_setting), (config["connectionStrings"], connection_string)):
        if place.absent or place.unknown or place.is_list:
            outcomes.extend(every(place.elements(), judge))
        else:
            outcomes.append(malformed(place, "a list"))
    return outcomes


@rule(
    "WA22",
    "function-scale-bound",
    "Function apps have an upper bound of instances",
    types=(APP, SLOT),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="A burst of events otherwise scales an app to the plan's limit: the bill grows, and so does the load on "
    "whatever it calls.",
    reads="siteConfig.functionAppScaleLimit; functionAppConfig.scaleAndConcurrency.maximumInstanceCount on Flex "
    "Consumption; kind",
    absent="Fails: the limits are 200 instances on Consumption and 100 on Flex Consumption.",
    remedy="Set site_config.function_app_scale_limit, or on Flex Consumption "
    "function_app_config.scale_and_concurrency.maximum_instance_count. On a dedicated plan, which this property does "
    "not bound, exempt the app.",
    sources=("pb:function-scaling-check",),
    parameters=(
        Parameter(
            "maximum", "integer", 100, "Instances that an app may scale out to, at most.", minimum=1, maximum=1000
        ),
    ),
    bad=(Sample(APP, {"kind": "functionapp,linux", "siteConfig": {"functionAppScaleLimit": 0}}),),
    good=(Sample(APP, {"kind": "functionapp,linux", "siteConfig": {"functionAppScaleLimit": 10}}),),
)
def function_scale_bound(app: ResourceView, parameters: Parameters) -> Outcome:
    """Check the property that bounds the app on its plan; the service takes 0 for no bound."""
    kind = app["kind"]
    if kind.unknown:
        return undecided(kind, "kind is not known, so it is not known whether this is a function app.")
    if "functionapp" not in (kind.text or "").casefold():
        return not_applicable("This is no function app.")
    flex = app["functionAppConfig"]
    if flex.unknown:
        return undecided(flex)
    bound = app["siteConfig"]["functionAppScaleLimit"]
    if flex.present:
        bound = flex["scaleAndConcurrency"]["maximumInstanceCount"]
    absent = "The app then scales to the limit of its plan."
    return require(bound, between(1, parameters["maximum"], "instances"), absent=absent)


RULES: tuple[Rule, ...] = (
    https_only,
    minimum_tls,
    no_plain_ftp,
    no_remote_debugging,
    managed_identity,
    cors_not_open,
    no_basic_publishing,
    no_secrets_in_settings,
    function_scale_bound,
)
