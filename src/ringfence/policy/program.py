"""The PG family: what is wrong with a program itself, whatever a pack asks for.

The engine finds these (`Deployment.problems`); here they get their names, levels and severities, and become findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ringfence.deployment import Deployment
from ringfence.policy.verdict import Finding, Level, Severity, Verdict

__all__ = ["PROGRAM_CHECKS", "ProgramCheck", "program_findings"]


@dataclass(frozen=True, slots=True)
class ProgramCheck:
    """One thing that the engine looks at in every program."""

    code: str
    name: str
    title: str
    severity: Severity
    level: Level
    why: str
    remedy: str


_MANDATORY, _ADVISORY = Level.MANDATORY, Level.ADVISORY

PROGRAM_CHECKS: tuple[ProgramCheck, ...] = (
    ProgramCheck(
        "PG01",
        "program-enum-value",
        "Enum properties have one of their values",
        Severity.MEDIUM,
        _MANDATORY,
        "The provider refuses other values, and only when it is too late: at deployment.",
        "Use one of the values of the SDK's enum class.",
    ),
    ProgramCheck(
        "PG02",
        "program-property-type",
        "Properties have the type that the SDK declares",
        Severity.MEDIUM,
        _MANDATORY,
        "The provider refuses a value of another type or reads it as something else.",
        "Give a value of the declared type.",
    ),
    ProgramCheck(
        "PG03",
        "program-unknown-property",
        "Properties are ones that the SDK knows",
        Severity.MEDIUM,
        _MANDATORY,
        "A misspelt key is dropped or refused: the setting that was meant is not made.",
        "Use the name that the SDK's args class has.",
    ),
    ProgramCheck(
        "PG04",
        "program-missing-property",
        "Required properties are set",
        Severity.MEDIUM,
        _MANDATORY,
        "The provider refuses the resource at deployment.",
        "Set the property.",
    ),
    ProgramCheck(
        "PG05",
        "program-duplicate-name",
        "Resources of one type have different names",
        Severity.HIGH,
        _MANDATORY,
        "The engine refuses two resources with one URN.",
        "Give each resource of a type a name of its own.",
    ),
    ProgramCheck(
        "PG06",
        "program-output-as-text",
        "Outputs are not used as text",
        Severity.HIGH,
        _MANDATORY,
        "An f-string or str() of an output gives a text about outputs, not the value; it would be deployed as it is.",
        "Use pulumi.Output.format, pulumi.Output.concat or apply.",
    ),
    ProgramCheck(
        "PG07",
        "program-never-awaited",
        "Coroutines are awaited",
        Severity.MEDIUM,
        _ADVISORY,
        "What a coroutine would do does not happen when nothing awaits it.",
        "Await it, or hand it to pulumi.Output.from_input.",
    ),
    ProgramCheck(
        "PG08",
        "program-task-left-behind",
        "Tasks end before the program does",
        Severity.MEDIUM,
        _ADVISORY,
        "A task that still runs when the program ends is cut off; what it registers may be missing.",
        "Await the task, or hand it to pulumi.Output.from_input.",
    ),
    ProgramCheck(
        "PG09",
        "program-missing-name",
        "Names of an SDK exist in the installed version",
        Severity.HIGH,
        _MANDATORY,
        "The program breaks off at a module, class, function or enum value that the SDK does not have, or has no more.",
        "Use a name that the installed SDK has.",
    ),
    ProgramCheck(
        "PG10",
        "program-undefined-name",
        "Names are defined or imported",
        Severity.HIGH,
        _MANDATORY,
        "The program breaks off at a name that nothing defines.",
        "Import the module, or define the name before it is used.",
    ),
    ProgramCheck(
        "PG11",
        "program-wrong-argument",
        "Classes and functions of an SDK are called with the arguments they take",
        Severity.HIGH,
        _MANDATORY,
        "The program breaks off at an argument that the SDK does not take, or at one that it needs and is not given.",
        "Use the argument names of the installed SDK.",
    ),
    ProgramCheck(
        "PG12",
        "program-missing-attribute",
        "Attributes that are read exist",
        Severity.HIGH,
        _MANDATORY,
        "The program breaks off when it reads an attribute that a resource or a value of an SDK does not have.",
        "Read an output that the installed SDK's class has.",
    ),
    ProgramCheck(
        "PG13",
        "program-missing-asset",
        "Assets and archives are there and are what the engine takes",
        Severity.HIGH,
        _MANDATORY,
        "The engine reads them before it deploys anything, and refuses the resource.",
        "Give a path that exists, relative to the program's folder.",
    ),
)

BY_CODE: Mapping[str, ProgramCheck] = {check.code: check for check in PROGRAM_CHECKS}


def program_findings(deployment: Deployment, levels: Mapping[str, Level] | None = None) -> list[Finding]:
    """Return the deployment's problems as findings; `levels` sets levels by code or name."""
    levels = levels or {}
    return [finding for finding in _findings(deployment, levels) if finding.level is not Level.DISABLED]


def _findings(deployment: Deployment, levels: Mapping[str, Level]) -> Iterable[Finding]:
    for problem in deployment.problems:
        check = BY_CODE[problem.code]
        resource = deployment.by_urn.get(problem.urn or "")
        yield Finding(
            code=check.code,
            name=check.name,
            verdict=Verdict.FAIL,
            level=levels.get(check.code) or levels.get(check.name) or check.level,
            severity=check.severity,
            message=problem.message,
            urn=problem.urn or "",
            type=resource.type if resource else "",
            resource=resource.name if resource else "",
            path=problem.path,
            expected=problem.expected,
            actual=problem.actual,
            remedy=problem.remedy or check.remedy,
            source=problem.source,
            source_chain=resource.source_chain if resource else (),
            pack="program",
        )
