"""Runs built by hand, for the tests of every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.deployment import (
    UNKNOWN,
    Asset,
    Deployment,
    Diagnostic,
    Options,
    ProgramError,
    Resource,
    Secret,
    SourceLine,
)
from ringfence.policy.rule import Framework, Parameter, Rule, Sample
from ringfence.policy.verdict import Finding, Level, Outcome, Severity, Verdict
from ringfence.reports import Result, Run

BASE = Path("/home/dev/infra")
WEB = BASE / "stacks" / "web"
PROGRAM = str(WEB / "__main__.py")
ACCOUNT = "azure-native:storage:StorageAccount"
APP = "azure-native:web:WebApp"
PASSWORD = "hunter2-correct-horse"
"""The plain value of every secret in these examples."""


def urn(token: str, name: str, stack: str = "dev", project: str = "web") -> str:
    return f"urn:pulumi:{stack}::{project}::{token}::{name}"


STACK_URN = urn("pulumi:pulumi:Stack", "web-dev")

MINIMUM_TLS = Rule(
    code="ST02",
    name="storage-minimum-tls",
    title="Storage accounts require TLS 1.2",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    check=lambda resource, parameters: Outcome(Verdict.PASS),
    why="Clients may otherwise negotiate TLS 1.0.",
    reads="minimumTlsVersion",
    absent="Fails: the service's default is TLS1_0.",
    remedy='Set minimum_tls_version="TLS1_2".',
    sources=("CKV_AZURE_44", "Azure.Storage.MinTLS"),
    bad=(Sample(ACCOUNT, {"minimumTlsVersion": "TLS1_0"}),),
    good=(Sample(ACCOUNT, {"minimumTlsVersion": "TLS1_2"}),),
    frameworks=(Framework("CIS Azure Foundations", "5.0", "9.3.6"),),
)
SOFT_DELETE = Rule(
    code="ST14",
    name="storage-soft-delete",
    title="Deleted blobs can be restored",
    types=(ACCOUNT,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    check=lambda resource, parameters: Outcome(Verdict.PASS),
    why="A deleted blob is gone otherwise.",
    reads="deleteRetentionPolicy.days",
    absent="Fails: soft delete is off.",
    remedy="Add BlobServiceProperties with a delete_retention_policy.",
    sources=("project",),
    bad=(Sample(ACCOUNT, {}, name="artifacts"),),
    good=(
        Sample(ACCOUNT, {}, name="artifacts"),
        Sample(
            "azure-native:storage:BlobServiceProperties",
            {"accountName": UNKNOWN, "deleteRetentionPolicy": {"enabled": True, "days": 7}},
            name="blobs",
            feeds={"accountName": ("artifacts",)},
        ),
    ),
    parameters=(
        Parameter("minimumDays", "integer", 7, "Days for which a deleted blob is kept.", minimum=1, maximum=365),
        Parameter("kinds", "array", ("blob",), "What is asked for.", choices=("blob", "container")),
    ),
    graph=True,
)
CUSTOMER_KEY = Rule(
    code="ST13",
    name="storage-customer-key",
    title="Storage accounts are encrypted by the customer's key",
    types=(ACCOUNT,),
    severity=Severity.LOW,
    level=Level.DISABLED,
    check=lambda resource, parameters: Outcome(Verdict.PASS),
    why="Some data must be readable by nobody else.",
    reads="encryption.keySource",
    absent="Fails: Microsoft's keys are used.",
    remedy="Set encryption.key_source.",
    sources=("CKV2_AZURE_1",),
    bad=(Sample(ACCOUNT, {}),),
    good=(Sample(ACCOUNT, {"encryption": {"keySource": "Microsoft.Keyvault"}}),),
    profile="customer-keys",
)
RULES = (MINIMUM_TLS, SOFT_DELETE, CUSTOMER_KEY)


def resources() -> tuple[Resource, ...]:
    account = urn(ACCOUNT, "artifacts")
    return (
        Resource(STACK_URN, "pulumi:pulumi:Stack", "web-dev", {}, id=None, custom=False),
        Resource(
            urn("pulumi:providers:azure-native", "default"),
            "pulumi:providers:azure-native",
            "default",
            {"version": "3.29.0"},
            parent=STACK_URN,
            default_provider=True,
        ),
        Resource(
            urn("app:index:Site", "site"),
            "app:index:Site",
            "site",
            {},
            id=None,
            custom=False,
            parent=STACK_URN,
            source=SourceLine(PROGRAM, 20),
        ),
        Resource(
            account,
            ACCOUNT,
            "artifacts",
            {"minimumTlsVersion": "TLS1_0", "accountName": UNKNOWN, "tags": {"owner": "Zoë"}},
            parent=STACK_URN,
            source=SourceLine(PROGRAM, 7),
        ),
        Resource(
            urn(APP, "api"),
            APP,
            "api",
            {
                "siteConfig": {"appSettings": [{"name": "PASSWORD", "value": Secret(PASSWORD)}]},
                "package": Asset("file", "app.zip"),
                "ratio": float("nan"),
            },
            id=UNKNOWN,
            parent=urn("app:index:Site", "site"),
            provider=urn("pulumi:providers:azure-native", "default"),
            dependencies=(account,),
            property_dependencies={"siteConfig": (account,)},
            options=Options(protect=True, ignore_changes=("tags",), replacement_trigger=Secret(PASSWORD)),
            source=SourceLine(str(WEB / "components" / "site.py"), 31, 9),
            source_chain=(
                SourceLine(str(WEB / "components" / "site.py"), 31, 9),
                SourceLine(PROGRAM, 20),
            ),
        ),
    )


OUTPUTS: dict[str, Any] = {
    "endpoint": "https://api.example.net/",
    "key": Secret({"primary": PASSWORD}),
    "hosts": ["a", UNKNOWN],
    "limit": float("inf"),
}


def finding(rule: Rule = MINIMUM_TLS, verdict: Verdict = Verdict.FAIL, **changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "code": rule.code,
        "name": rule.name,
        "verdict": verdict,
        "level": rule.level,
        "severity": rule.severity,
        "message": 'minimumTlsVersion is "TLS1_0".',
        "urn": urn(ACCOUNT, "artifacts"),
        "type": ACCOUNT,
        "resource": "artifacts",
        "path": "minimumTlsVersion",
        "expected": '"TLS1_2"',
        "actual": '"TLS1_0"',
        "remedy": rule.remedy if verdict in (Verdict.FAIL, Verdict.UNKNOWN) else "",
        "source": SourceLine(PROGRAM, 7),
        "pack": "ringfence",
    }
    return Finding(**(fields | changes))


def findings() -> tuple[Finding, ...]:
    """One finding of each verdict, and a program check, in no helpful order."""
    return (
        finding(SOFT_DELETE, message="No BlobServiceProperties belongs to the account.", path=""),
        finding(verdict=Verdict.PASS, urn=urn(ACCOUNT, "logs"), resource="logs", message="", path=""),
        finding(),
        finding(
            SOFT_DELETE,
            Verdict.NOT_APPLICABLE,
            urn=urn(ACCOUNT, "queue"),
            resource="queue",
            message="It holds no blobs.",
            path="",
        ),
        finding(
            verdict=Verdict.UNKNOWN,
            urn=urn(ACCOUNT, "media"),
            resource="media",
            message="minimumTlsVersion is not known before apply.",
            source=SourceLine(PROGRAM, 12),
        ),
        finding(
            SOFT_DELETE,
            Verdict.EXEMPT,
            urn=urn(ACCOUNT, "scratch"),
            resource="scratch",
            message="Temporary data; platform team, until 2027-01-31.",
        ),
        finding(
            SOFT_DELETE,
            Verdict.ERROR,
            urn=urn(ACCOUNT, "odd"),
            resource="odd",
            message="The rule itself broke: KeyError: 'days'",
            path="",
        ),
        Finding(
            code="PG01",
            name="program-enum-value",
            verdict=Verdict.FAIL,
            level=Level.MANDATORY,
            severity=Severity.CRITICAL,
            message='httpsOnly is "yes", not a boolean.',
            urn=urn(APP, "api"),
            type=APP,
            resource="api",
            path="httpsOnly",
            remedy="Set https_only=True.",
            source=SourceLine(str(WEB / "components" / "site.py"), 31, 9),
            source_chain=(
                SourceLine(str(WEB / "components" / "site.py"), 31, 9),
                SourceLine(PROGRAM, 20),
            ),
        ),
    )


NOTES = (
    Diagnostic("warning", "config web:token is encrypted and stays unknown"),
    Diagnostic("info", "deploying", urn(APP, "api")),
    Diagnostic("info", "deploying", urn(APP, "api")),
    Diagnostic("debug", "noise"),
)


def deployment(**changes: Any) -> Deployment:
    fields: dict[str, Any] = {
        "project": "web",
        "stack": "dev",
        "path": WEB,
        "resources": resources(),
        "outputs": OUTPUTS,
        "diagnostics": NOTES,
        "printed": f"the password is {PASSWORD}\n",
    }
    return Deployment(**(fields | changes))


def clean() -> Result:
    """Return a stack without a failure."""
    return Result(
        Deployment("queue", "prod", BASE / "stacks" / "queue"),
        (finding(verdict=Verdict.PASS, urn=urn(ACCOUNT, "logs", "prod", "queue")),),
    )


def broken() -> Result:
    """Return a program that raised."""
    error = ProgramError(
        "ZeroDivisionError: division by zero",
        SourceLine(str(BASE / "stacks" / "broken" / "__main__.py"), 3),
        f"Traceback: {PASSWORD}",
    )
    return Result(Deployment("broken", "dev", BASE / "stacks" / "broken", error=error))


def run(*results: Result, **changes: Any) -> Run:
    """Return a run of the given results, by default of the example deployment with all its findings."""
    fields: dict[str, Any] = {
        "results": results or (Result(deployment(), findings()),),
        "base": BASE,
        "rules": RULES,
    }
    return Run(**(fields | changes))


def every_run() -> dict[str, Run]:
    """Return the runs that every format must cope with, by name."""
    return {
        "all verdicts": run(all_verdicts=True),
        "reported verdicts": run(),
        "several": run(Result(deployment(), findings()), clean(), broken(), strict_unknowns=True),
        "preview": run(Result(deployment()), with_findings=False),
        "failed program": run(broken()),
        "nothing": Run((), BASE),
        "no resource": run(Result(Deployment("web", "dev", WEB))),
    }
