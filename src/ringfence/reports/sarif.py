"""The SARIF 2.1.0 report, for code scanning services and editors.

Limits and supported properties of GitHub's code scanning: docs.github.com, "SARIF support for code scanning".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from ringfence import __version__
from ringfence.deployment import Deployment, SourceLine
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Finding, Level, Severity, Verdict
from ringfence.reports.interface import Run
from ringfence.reports.summary import blocks, priority, shown
from ringfence.reports.text import as_json, relative

__all__ = ["MAX_RESULTS", "SHOWN_RESULTS", "SarifReporter", "fingerprint"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MAX_RESULTS = 25_000
"""GitHub refuses a run with more results."""
SHOWN_RESULTS = 5_000
"""GitHub shows no more results of a run."""
_MAX_RELATED = 100
_MAX_TAGS = 10
_ROOT = "%SRCROOT%"

_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}
"""On the scale of CVSS: GitHub calls 9.0 and more critical, 7.0 high, 4.0 medium, below that low."""

_KINDS = {Verdict.PASS: "pass", Verdict.NOT_APPLICABLE: "notApplicable"}
"""All others are of kind `fail`: SARIF allows the levels error, warning and note for no other kind (3.27.10)."""


class SarifReporter:
    """Writes the findings of a run as one SARIF run. Results come with the most urgent first."""

    def render(self, run: Run) -> str:
        """Return the whole report, with a line feed at its end."""
        pairs = [(finding, result.deployment) for result in run.results for finding in shown(run, result.findings)]
        pairs.sort(key=lambda pair: priority(pair[0]))
        kept = pairs[:MAX_RESULTS]
        rules = _descriptors(run.rules, [finding for finding, _ in kept])
        index = {rule["id"]: number for number, rule in enumerate(rules)}
        seen: dict[str, int] = {}
        results = []
        for finding, deployment in kept:
            key = fingerprint(finding, deployment)
            seen[key] = seen.get(key, 0) + 1
            results.append(_result(run, finding, deployment, index[finding.code], f"{key}:{seen[key]}"))
        return as_json(
            {
                "$schema": SCHEMA,
                "version": "2.1.0",
                "runs": [
                    {
                        "tool": {
                            "driver": {
                                "name": "ringfence",
                                "version": __version__,
                                "semanticVersion": __version__,
                                "rules": rules,
                            }
                        },
                        "invocations": [_invocation(run, len(pairs))],
                        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder that ringfence ran in."}}},
                        "results": results,
                    }
                ],
            }
        )


def fingerprint(finding: Finding, deployment: Deployment) -> str:
    """Return what identifies a finding from run to run: rule, resource and property, neither line nor message."""
    subject = finding.urn or f"{deployment.project}/{deployment.stack}"
    return hashlib.sha256("\0".join((finding.code, subject, finding.path)).encode("utf-8", "replace")).hexdigest()[:32]


def _descriptors(rules: Iterable[Rule], findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Describe the rules of the run, and those that only findings know: program checks, rules of foreign packs."""
    described = {rule.code: _of_rule(rule) for rule in rules}
    for finding in findings:
        if finding.code not in described:
            described[finding.code] = _of_finding(finding)
        if finding.url.startswith(("https://", "http://")):
            described[finding.code].setdefault("helpUri", finding.url)
    return list(described.values())


def _of_rule(rule: Rule) -> dict[str, Any]:
    parts = [("Why", rule.why), ("What is read", rule.reads), ("When it is absent", rule.absent), ("Fix", rule.remedy)]
    packages = sorted({token.split(":")[0] for token in rule.types})
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": "\n".join(f"{title}: {text}" for title, text in parts),
            "markdown": f"# {rule.code} {rule.title}\n\n"
            + "\n\n".join(f"**{title}.** {text}" for title, text in parts),
        },
        "defaultConfiguration": {"level": "error" if rule.level is Level.MANDATORY else "warning"},
        "properties": _properties(rule.severity, [*packages, *dict.fromkeys(item.name for item in rule.frameworks)]),
    }


def _of_finding(finding: Finding) -> dict[str, Any]:
    described = finding.extra.get("description") or finding.name.replace("-", " ") or finding.code
    framework = finding.extra.get("framework", {}).get("name", "")
    help_text = finding.remedy or f"See what {finding.code} says of the resource."
    return {
        "id": finding.code,
        "name": finding.name or finding.code,
        "shortDescription": {"text": described},
        "fullDescription": {"text": described},
        "help": {"text": help_text, "markdown": help_text},
        "defaultConfiguration": {"level": "error" if finding.level is Level.MANDATORY else "warning"},
        "properties": _properties(finding.severity, filter(None, [finding.pack, framework])),
    }


def _properties(severity: Severity, tags: Iterable[str]) -> dict[str, Any]:
    # GitHub takes the score into account for rules that are tagged so.
    all_tags = ["security", "pulumi", *tags]
    return {"precision": "high", "security-severity": _SCORES[severity], "tags": all_tags[:_MAX_TAGS]}


def _result(run: Run, finding: Finding, deployment: Deployment, rule_index: int, key: str) -> dict[str, Any]:
    source = finding.source or SourceLine(str(deployment.path / "Pulumi.yaml"), 1)
    location: dict[str, Any] = {"physicalLocation": _physical(source, run.base)}
    if finding.urn:
        location["logicalLocations"] = [
            {"name": finding.resource, "fullyQualifiedName": finding.urn, "kind": "resource"}
        ]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "kind": _KINDS.get(finding.verdict, "fail"),
        "level": _level(run, finding),
        "message": {"text": _message(finding)},
        "locations": [location],
        # The first key is the one that GitHub reads. Its own value is a hash of the line's text, which two findings
        # about one line share: it would show only one of them.
        "partialFingerprints": {"primaryLocationLineHash": key, "ringfence/v1": key},
        "properties": {
            "verdict": finding.verdict.value,
            "enforcementLevel": finding.level.value,
            "project": deployment.project,
            "stack": deployment.stack,
            "property": finding.path,
            **({"repairs": deployment.repairs} if deployment.repairs else {}),
        },
    }
    related = [item for item in finding.source_chain if item != finding.source][:_MAX_RELATED]
    if related:
        result["relatedLocations"] = [
            {
                "id": number,
                "physicalLocation": _physical(item, run.base),
                "message": {"text": "The resource is made on behalf of this line."},
            }
            for number, item in enumerate(related, start=1)
        ]
    if finding.verdict is Verdict.EXEMPT:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.message}]
    return result


def _level(run: Run, finding: Finding) -> str:
    if finding.verdict in _KINDS:
        return "none"
    if blocks(finding, strict_unknowns=run.strict_unknowns):
        return "error"
    if finding.verdict is Verdict.UNKNOWN:
        return "note"
    # An exempt finding has the level that it would have without its exemption.
    return "error" if finding.level is Level.MANDATORY else "warning"


def _message(finding: Finding) -> str:
    prefix = "Undecided: " if finding.verdict is Verdict.UNKNOWN else ""
    resource = f"{finding.resource}: " if finding.resource else ""
    return f"{prefix}{resource}{finding.message} {finding.remedy}".strip() or finding.name or finding.code


def _physical(source: SourceLine, base: Path) -> dict[str, Any]:
    path = relative(source.path, base)
    uri = quote(path.encode("utf-8", "surrogateescape"))
    outside = PurePosixPath(path).is_absolute()
    artifact = {"uri": f"file://{uri}"} if outside else {"uri": uri, "uriBaseId": _ROOT}
    region = {"startLine": max(source.line, 1)}
    if source.column:
        region["startColumn"] = source.column
    return {"artifactLocation": artifact, "region": region}


def _repairs(deployment: Deployment) -> str:
    if not deployment.repairs:
        return ""
    times = "1 repair" if deployment.repairs == 1 else f"{deployment.repairs} repairs"
    return f" (The results were found after {times} of the program.)"


def _invocation(run: Run, found: int) -> dict[str, Any]:
    notifications: list[dict[str, Any]] = []
    failed = [result.deployment for result in run.results if result.deployment.error]
    for deployment in failed:
        error = deployment.error
        assert error is not None
        source = error.source or SourceLine(str(deployment.path / "Pulumi.yaml"), 1)
        notifications.append(
            {
                "level": "error",
                "message": {
                    "text": f"{deployment.project}, stack {deployment.stack}: {error.message}{_repairs(deployment)}"
                },
                "locations": [{"physicalLocation": _physical(source, run.base)}],
            }
        )
    if found > MAX_RESULTS:
        text = (
            f"{found - MAX_RESULTS:,} of {found:,} results are left out, the least urgent: a run holds {MAX_RESULTS:,}."
        )
        notifications.append({"level": "warning", "message": {"text": text}})
    elif found > SHOWN_RESULTS:
        text = f"GitHub shows the first {SHOWN_RESULTS:,} of {found:,} results; the most urgent come first."
        notifications.append({"level": "note", "message": {"text": text}})
    invocation: dict[str, Any] = {"executionSuccessful": not failed}
    if notifications:
        invocation["toolExecutionNotifications"] = notifications
    return invocation
