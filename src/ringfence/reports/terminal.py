"""The report for people: a table of findings by severity, or the tree of resources for a preview.

A place (`path:line`) always stands whole on one line, however narrow the terminal: searching for it and opening it by a
click must work. Everything else wraps between words.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ringfence.deployment import Deployment, Problem, Resource, to_json
from ringfence.policy.verdict import Finding, Level, Severity, Verdict
from ringfence.reports.interface import Result, Run
from ringfence.reports.summary import Summary, priority, shown, summarise
from ringfence.reports.text import count, finite, one_line, place, relative, shorten, visible

__all__ = ["TerminalReporter"]

_Token = TypeVar("_Token", str, Text)

MAX_MESSAGE = 600
"""Characters of a message that are shown."""
MAX_NOTES = 10
"""Notes that are shown per deployment."""
MAX_VALUE = 200
"""Characters of a stack output that are shown."""
_MIN_WIDTH = 40

_SECTIONS = (
    ("Failed", (Verdict.FAIL, Verdict.ERROR)),
    ("Undecided", (Verdict.UNKNOWN,)),
    ("Exempt", (Verdict.EXEMPT,)),
    ("Not applicable", (Verdict.NOT_APPLICABLE,)),
    ("Passed", (Verdict.PASS,)),
)
_COLOURS = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "blue",
}
_SEVERITY_WIDTH = 10
_LEVEL_WIDTH = 11


class TerminalReporter:
    """Writes a run as text that is `width` columns wide; without `color` it holds no control code at all."""

    def __init__(self, width: int = 80, color: bool = False) -> None:
        self._width = max(width, _MIN_WIDTH)
        self._color = color

    def render(self, run: Run) -> str:
        """Return the whole report, with a line feed at its end."""
        lines: list[Text] = []
        overview = _overview(run) if run.with_findings and len(run.results) > 1 else []
        for result in run.results:
            deployment = result.deployment
            body = self._findings(run, result) if run.with_findings else self._preview(run, deployment)
            blocks = [block for block in (self._error(run, deployment), body, self._notes(deployment)) if block]
            if overview and not blocks:
                continue  # the table says it
            if not blocks:
                blocks = [[Text(f"Nothing to report: {_counts(summarise([result]))}.", "green")]]
            for block in (self._head(run, deployment), *blocks):
                lines += [*block, Text()]
        if overview:
            lines += [*overview, Text()]
        return self._write(lines + self._close(run))

    def _write(self, lines: Iterable[Text]) -> str:
        if not self._color:
            return "".join(line.plain.rstrip() + "\n" for line in lines)
        # The environment is not asked: whether there is colour is the caller's decision.
        console = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="standard",
            width=self._width,
            legacy_windows=False,
            _environ={},
        )
        with console.capture() as capture:
            console.print(Text("\n").join(lines), soft_wrap=True, markup=False, emoji=False, highlight=False)
        return capture.get()

    def _head(self, run: Run, deployment: Deployment) -> list[Text]:
        names = f"{visible(deployment.project)} · {visible(deployment.stack)}"
        path = visible(relative(deployment.path, run.base))
        return [Text.assemble((names, "bold"), f"  {path}")]

    def _error(self, run: Run, deployment: Deployment) -> list[Text]:
        if deployment.error is None:
            return []
        title = "Program failed"
        where = place(deployment.error.source, run.base) or visible(relative(deployment.path, run.base))
        paragraphs = [one_line(text) for text in deployment.error.message.splitlines() if text.strip()]
        lines = [Text.assemble((title, "bold red"), "  ", (where, "bold"))]
        for paragraph in paragraphs:
            lines += self._indented(shorten(paragraph, MAX_MESSAGE), len(title) + 2)
        if deployment.resources:
            made = count(len(deployment.resources), "resource")
            told = f"It had made {made} by then; what follows concerns these."
            if deployment.repairs:
                told = f"With {count(deployment.repairs, 'repair')} it made {made}; what follows concerns these."
            lines += self._indented(told, len(title) + 2)
        return lines

    # Findings

    def _findings(self, run: Run, result: Result) -> list[Text]:
        findings = shown(run, result.findings)
        lines: list[Text] = []
        for title, verdicts in _SECTIONS:
            section = sorted((item for item in findings if item.verdict in verdicts), key=priority)
            if not section:
                continue
            if lines:
                lines.append(Text())
            columns = f"{'Severity':{_SEVERITY_WIDTH}}{'Level':{_LEVEL_WIDTH}}"
            lines.append(Text(f"{columns}{title} ({len(section):,})", "bold"))
            for finding in section:
                lines += self._finding(run, result.deployment, finding)
        return lines

    def _finding(self, run: Run, deployment: Deployment, finding: Finding) -> list[Text]:
        margin = _SEVERITY_WIDTH + _LEVEL_WIDTH
        where = place(finding.source, run.base) or visible(relative(deployment.path, run.base))
        tokens = [Text(where, "bold"), Text(one_line(f"{finding.code} {finding.name}"), "cyan")]
        if finding.resource:
            tokens.append(Text(one_line(finding.resource)))
        if finding.type and finding.source is None:
            tokens.append(Text(one_line(f"({finding.type})")))
        body = _flow(tokens, self._width - margin)
        if finding.verdict is not Verdict.PASS:
            body += self._wrapped(shorten(one_line(finding.message), MAX_MESSAGE), margin)
            if finding.remedy:
                body += self._wrapped(f"Fix: {shorten(one_line(finding.remedy), MAX_MESSAGE)}", margin, "green")
        first = Text.assemble(
            (f"{finding.severity.value:{_SEVERITY_WIDTH}}", _COLOURS[finding.severity]),
            (f"{finding.level.value:{_LEVEL_WIDTH}}", "bold" if finding.level is Level.MANDATORY else ""),
        )
        return [Text.assemble(first if number == 0 else " " * margin, line) for number, line in enumerate(body)]

    # Preview

    def _preview(self, run: Run, deployment: Deployment) -> list[Text]:
        visible_resources = [item for item in deployment.resources if not item.default_provider]
        rows = [
            ("  " * depth + visible(resource.name), visible(resource.type), place(resource.source, run.base))
            for depth, resource in _tree(visible_resources)
        ]
        lines = _table(("Resource", "Type", "Source"), rows) if rows else [Text("No resources.")]
        hidden = len(deployment.resources) - len(visible_resources)
        if hidden:
            lines.append(Text(f"{count(hidden, 'default provider')} not shown.", "dim"))
        if deployment.outputs:
            values = [(visible(name), _value(value)) for name, value in deployment.outputs.items()]
            lines += [Text(), *_table(("Output", "Value"), values)]
        if deployment.problems:
            lines += [Text(), Text("Wrong with the program", "bold")]
            for problem in deployment.problems:
                lines += self._problem(run, problem)
        return lines

    def _problem(self, run: Run, problem: Problem) -> list[Text]:
        tokens = [Text(place(problem.source, run.base), "bold"), Text(problem.code, "cyan")]
        lines = _flow([token for token in tokens if token], self._width)
        text = " ".join(item for item in (problem.message, problem.remedy) if item)
        return lines + self._indented(shorten(one_line(text), MAX_MESSAGE), 2)

    # What stands under both

    def _notes(self, deployment: Deployment) -> list[Text]:
        """Show each message of the program and of the engine once."""
        notes = Counter(
            (item.severity, one_line(item.message), item.urn)
            for item in deployment.diagnostics
            if item.severity != "debug"
        )
        if not notes:
            return []
        lines = [Text("Notes", "bold")]
        for (severity, message, urn), times in list(notes.items())[:MAX_NOTES]:
            about = f"{visible(urn.rsplit('::', 1)[-1])}: " if urn else ""
            again = f" ({times:,} times)" if times > 1 else ""
            rows = self._indented(f"{about}{shorten(message, MAX_MESSAGE)}{again}", 9) or [Text()]
            lines += [Text.assemble((f"{severity:9}", "dim"), rows[0].plain[9:]), *rows[1:]]
        if len(notes) > MAX_NOTES:
            lines.append(Text(f"{len(notes) - MAX_NOTES:,} more with --format json.", "dim"))
        return lines

    def _close(self, run: Run) -> list[Text]:
        """Sum up, and say what to do next where that is not plain."""
        summary = summarise(run.results, strict_unknowns=run.strict_unknowns)
        stacks = count(summary.deployments, "stack")
        if not run.with_findings:
            resources = sum(not item.default_provider for result in run.results for item in result.deployment.resources)
            failed = f"{count(summary.failed, 'program')} failed, " if summary.failed else ""
            lines = [Text(f"{failed}{count(resources, 'resource')} · {stacks}", "bold")]
            return lines + self._wrapped("--format json shows every input.", 0, "dim") if resources else lines
        if not run.results:
            return [Text("Nothing was judged.", "bold")]
        bad = summary.failed or summary.blocking
        lines = self._wrapped(f"{_counts(summary)} · {stacks}", 0, "bold red" if bad else "bold green")
        for hint in _hints(run, summary):
            lines += self._wrapped(hint, 0, "dim")
        return lines

    def _indented(self, text: str, margin: int) -> list[Text]:
        return [Text.assemble(" " * margin, line) for line in self._wrapped(text, margin)]

    def _wrapped(self, text: str, margin: int, style: str = "") -> list[Text]:
        return [Text(" ".join(words), style) for words in _rows(text.split(), self._width - margin, gap=1)]


def _rows(tokens: Sequence[_Token], width: int, *, gap: int) -> list[list[_Token]]:
    """Share tokens out over lines of at most `width` columns. No token is broken: one that is longer sticks out."""
    rows: list[list[_Token]] = []
    used = 0
    for token in tokens:
        size = cell_len(str(token))
        if rows and used + gap + size <= width:
            rows[-1].append(token)
            used += gap + size
        else:
            rows.append([token])
            used = size
    return rows


def _flow(tokens: Sequence[Text], width: int) -> list[Text]:
    return [Text("  ").join(row) for row in _rows(tokens, width, gap=2)]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Text]:
    """Set rows in columns that are as wide as they need to be."""
    widths = [max(cell_len(row[column]) for row in (titles, *rows)) + 2 for column in range(len(titles))]
    return [
        Text(
            "".join(cell + " " * (size - cell_len(cell)) for cell, size in zip(row, widths, strict=True)).rstrip(),
            "bold" if number == 0 else "",
        )
        for number, row in enumerate((titles, *rows))
    ]


def _overview(run: Run) -> list[Text]:
    """Return a table with a line for each stack, so that none is overlooked between long ones."""
    titles = ("Stack", "Mandatory", "Advisory", "Undecided", "Exempt", "Passed")
    rows = []
    for result in run.results:
        summary = summarise([result])
        mandatory = summary.of(Verdict.FAIL, Level.MANDATORY) + summary.of(Verdict.ERROR, Level.MANDATORY)
        advisory = summary.of(Verdict.FAIL) + summary.of(Verdict.ERROR) - mandatory
        counts = (mandatory, advisory, *(summary.of(item) for item in (Verdict.UNKNOWN, Verdict.EXEMPT, Verdict.PASS)))
        deployment = result.deployment
        failed = "" if deployment.ok else "  program failed"
        name = f"{visible(deployment.project)} · {visible(deployment.stack)}"
        rows.append((name, *(f"{number:,}" for number in counts[:-1]), f"{counts[-1]:,}{failed}"))
    return _table(titles, rows)


def _tree(resources: Sequence[Resource]) -> list[tuple[int, Resource]]:
    """Return the resources with their depth, children after their parent; what has no parent here stands at the top."""
    urns = {resource.urn for resource in resources}
    children: dict[str | None, list[Resource]] = {}
    for resource in resources:
        # A parent that is itself would hide the resource.
        parent = resource.parent if resource.parent in urns and resource.parent != resource.urn else None
        children.setdefault(parent, []).append(resource)
    rows: list[tuple[int, Resource]] = []
    waiting = [(0, resource) for resource in reversed(children.get(None, []))]
    while waiting:
        depth, resource = waiting.pop()
        rows.append((depth, resource))
        waiting += [(depth + 1, child) for child in reversed(children.pop(resource.urn, []))]
    # Only a damaged state can hold parents in a circle. Its resources are shown all the same.
    reached = {resource.urn for _, resource in rows}
    return rows + [(0, resource) for resource in resources if resource.urn not in reached]


def _value(value: object) -> str:
    plain = to_json(value)
    if plain in ("[unknown]", "[secret]"):
        return str(plain)
    return shorten(visible(json.dumps(finite(plain), ensure_ascii=False)), MAX_VALUE)


def _counts(summary: Summary) -> str:
    """Return the counts in words: "4 mandatory failures, 2 advisory, 1 undecided, 118 passed"."""
    mandatory = summary.of(Verdict.FAIL, Level.MANDATORY)
    advisory = summary.of(Verdict.FAIL) - mandatory
    errors = summary.of(Verdict.ERROR)
    unknown = summary.of(Verdict.UNKNOWN)
    strict = summary.of(Verdict.UNKNOWN, Level.MANDATORY)
    parts = []
    judged = sum(summary.verdicts.values())
    if summary.failed:
        parts.append(f"{count(summary.failed, 'program')} failed")
    if mandatory:
        parts.append(count(mandatory, "mandatory failure"))
    if advisory:
        parts.append(f"{advisory:,} advisory" if mandatory else count(advisory, "advisory failure"))
    if errors:
        parts.append(count(errors, "broken rule"))
    if not parts:
        parts.append("no failures" if judged else "no rule applied")
    if unknown:
        parts.append(f"{unknown:,} undecided" + (f" ({strict:,} mandatory)" if strict else ""))
    if exempt := summary.of(Verdict.EXEMPT):
        parts.append(f"{exempt:,} exempt")
    if judged:
        parts.append(f"{summary.of(Verdict.PASS):,} passed")
    if other := summary.of(Verdict.NOT_APPLICABLE):
        parts.append(f"{other:,} not applicable")
    return ", ".join(parts)


def _hints(run: Run, summary: Summary) -> list[str]:
    """Return what the reader may want to do next."""
    hints = []
    undecided = summary.of(Verdict.UNKNOWN, Level.MANDATORY)
    if undecided:
        subject = count(undecided, "mandatory verdict is", "mandatory verdicts are")
        rest = (
            "undecided, and --strict-unknowns makes the run fail."
            if run.strict_unknowns
            else "undecided; --strict-unknowns would make the run fail."
        )
        hints.append(
            f"{subject} {rest} --outputs synthetic, the default, decides most of what --outputs unknown cannot."
        )
    known = {rule.code for rule in run.rules}
    failures = [item for result in run.results for item in result.findings if item.verdict is Verdict.FAIL]
    first = next((item.code for item in sorted(failures, key=priority) if item.code in known), None)
    if first is not None:
        hints.append(f"ringfence rules {first} explains a rule.")
    if not run.all_verdicts and summary.of(Verdict.PASS) + summary.of(Verdict.NOT_APPLICABLE):
        hints.append("--all-verdicts shows passes and what did not apply.")
    return hints
