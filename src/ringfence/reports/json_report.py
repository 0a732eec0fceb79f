"""The JSON report, version 1: everything that is known of a run, for programs to read."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

from ringfence.deployment import Diagnostic, Options, Problem, Resource, to_json
from ringfence.policy.verdict import Finding
from ringfence.reports.interface import Result, Run
from ringfence.reports.summary import shown, summarise
from ringfence.reports.text import as_json, relative, source_json

__all__ = ["VERSION", "JsonReporter", "schema"]

VERSION = 1
"""Version of the report's form. Keys may be added to a version; none goes away or changes its meaning."""


class JsonReporter:
    """Writes a run as JSON. `schema/report-v1.schema.json` describes the form."""

    def render(self, run: Run) -> str:
        """Return the whole report, with a line feed at its end."""
        return as_json(
            {
                "version": VERSION,
                "deployments": [_deployment(run, result) for result in run.results],
                "summary": summarise(run.results, strict_unknowns=run.strict_unknowns).as_json(),
            }
        )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the report."""
    file = resources.files("ringfence.reports") / "schema" / f"report-v{VERSION}.schema.json"
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _deployment(run: Run, result: Result) -> dict[str, Any]:
    deployment, base = result.deployment, run.base
    error = deployment.error
    document: dict[str, Any] = {
        "project": deployment.project,
        "stack": deployment.stack,
        "path": relative(deployment.path, base),
        "status": "ok" if deployment.ok else "failed",
        "error": None if error is None else {"message": error.message, "source": source_json(error.source, base)},
        "resources": [_resource(resource, base) for resource in deployment.resources],
        "outputs": to_json(deployment.outputs),
        "findings": [_finding(finding, base) for finding in shown(run, result.findings)],
    }
    if deployment.repairs:
        document["repairs"] = deployment.repairs
    if deployment.diagnostics:
        document["notes"] = [_note(note) for note in deployment.diagnostics]
    if deployment.problems and not run.with_findings:
        # `ringfence check` has them among the findings.
        document["problems"] = [_problem(problem, base) for problem in deployment.problems]
    return document


def _resource(resource: Resource, base: Path) -> dict[str, Any]:
    document: dict[str, Any] = {
        "urn": resource.urn,
        "type": resource.type,
        "name": resource.name,
        "parent": resource.parent,
        "inputs": to_json(resource.inputs),
        "dependencies": list(resource.dependencies),
        "source": source_json(resource.source, base),
        "custom": resource.custom,
    }
    optional = {
        "id": to_json(resource.id),
        "provider": resource.provider,
        "propertyDependencies": to_json(resource.property_dependencies),
        "options": _options(resource.options),
        "remote": resource.remote,
        "external": resource.external,
        "defaultProvider": resource.default_provider,
    }
    return document | {key: value for key, value in optional.items() if value}


def _options(options: Options) -> dict[str, Any]:
    """Return the options that the program set, by their names on the wire."""
    default = Options()
    given = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value != getattr(default, field.name):
            first, *rest = field.name.split("_")
            given[first + "".join(word.capitalize() for word in rest)] = to_json(value)
    return given


def _finding(finding: Finding, base: Path) -> dict[str, Any]:
    document: dict[str, Any] = {
        "code": finding.code,
        "name": finding.name,
        "verdict": finding.verdict.value,
        "level": finding.level.value,
        "severity": finding.severity.value,
        "urn": finding.urn,
        "type": finding.type,
        "resource": finding.resource,
        "property": finding.path,
        "message": finding.message,
        "remedy": finding.remedy,
        "source": source_json(finding.source, base),
    }
    optional = {
        "expected": finding.expected,
        "actual": finding.actual,
        "sourceChain": [source_json(source, base) for source in finding.source_chain],
        "pack": finding.pack,
        "url": finding.url,
        "framework": finding.extra.get("framework"),
    }
    return document | {key: value for key, value in optional.items() if value}


def _note(note: Diagnostic) -> dict[str, Any]:
    return {"severity": note.severity, "message": note.message, "urn": note.urn}


def _problem(problem: Problem, base: Path) -> dict[str, Any]:
    return {
        "code": problem.code,
        "urn": problem.urn,
        "property": problem.path,
        "message": problem.message,
        "remedy": problem.remedy,
        "source": source_json(problem.source, base),
    }
