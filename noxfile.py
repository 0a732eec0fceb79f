# /// script
# dependencies = ["nox>=2025.5"]
# ///
"""The sessions of ringfence: `python3 -m nox -l` lists them. Each sets up all that it needs."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["check"]

ROOT = Path(__file__).parent
# Compiled modules are kept: importing a provider SDK takes seconds without them.
KEEP_COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
# One worker more than processors, as many tests wait for other processes; eight at most, as each takes 600 MB. One that
# has nothing left takes tests from another; until then each keeps to a run of neighbours, which share what their module
# starts. Words after `--` come later and win: `-- -n 0` runs everything in one process, as a debugger needs it.
AT_ONCE = ("-n", str(min(8, (os.cpu_count() or 1) + 1)), "--dist", "worksteal")


def install(session: nox.Session, requirements: str) -> None:
    """Install a locked set of packages, then this project from its checkout."""
    session.install("--require-hashes", "-r", f"requirements/{requirements}.txt")
    # The build back end is in the locked set, so that nothing unlocked is fetched to build the checkout.
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


@nox.session
def check(session: nox.Session) -> None:
    """Judge the reference stacks (or the projects named after `--`) and show the findings."""
    install(session, "check")
    session.run("ringfence", "check", *(session.posargs or ["stacks"]), env=KEEP_COMPILED)


@nox.session
def tests(session: nox.Session) -> None:
    """Run everything that must pass; words after `--` go to pytest."""
    install(session, "dev")
    session.run("pytest", *AT_ONCE, *session.posargs, env=KEEP_COMPILED)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Draw twenty times as many examples for the properties of stacks and rules; words after `--` go to pytest."""
    install(session, "dev")
    profile = "--hypothesis-profile=fuzz"
    session.run("pytest", profile, *(session.posargs or ["tests/property"]), env=KEEP_COMPILED)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches the tests run.

    Programs that hang are ended by an exception from outside, which a coverage tracer cannot stand: their tests run in
    the session `tests` only.
    """
    install(session, "dev")
    environment = KEEP_COMPILED | {"COVERAGE_FILE": str(Path(session.create_tmp()) / ".coverage")}
    left_out = ("tests/unit/engine/test_errors.py", "tests/unit/engine/test_recovery.py", "tests/integration")
    session.run("pytest", "--cov", "--cov-report=", *(f"--ignore={path}" for path in left_out), env=environment)
    session.run("coverage", "report", env=environment)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who imports whom."""
    session.install("--require-hashes", "-r", "requirements/lint.txt")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src:policies"})


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly; each reference stack on its own, since each has modules of the same names.

    The provider SDKs are not installed: their 600 MB of generated modules take minutes to read and tell nothing.
    """
    install(session, "types")
    session.run("mypy")
    for stack in sorted(path.parent for path in ROOT.glob("stacks/*/Pulumi.yaml")):
        with session.chdir(stack):
            session.run("mypy", "--config-file", str(ROOT / "pyproject.toml"), ".", env={"MYPYPATH": "..:app"})


@nox.session(default=False)
def integration(session: nox.Session) -> None:
    """Run the stacks' code on emulators: in Docker where the daemon answers, else as processes."""
    install(session, "dev")
    session.run("pytest", *AT_ONCE, "tests/integration", *session.posargs, env=KEEP_COMPILED)


@nox.session(default=False)
def integration_docker(session: nox.Session) -> None:
    """Run the same on the official images alone; RINGFENCE_IMAGE_AZURITE and the like name other ones."""
    install(session, "dev")
    environment = KEEP_COMPILED | {"RINGFENCE_EMULATORS": "docker"}
    session.run("pytest", "tests/integration", *session.posargs, env=environment)


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """Run what needs the real Pulumi CLI on PATH; without one it fails, where `tests` would skip."""
    install(session, "dev")
    session.run("pulumi", "version", external=True)
    session.run("pytest", "tests/e2e", *session.posargs, env=KEEP_COMPILED)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure speed against Pulumi's own mocks, side by side in one run."""
    install(session, "dev")
    session.run("python", "-m", "bench", *session.posargs, env=KEEP_COMPILED)


@nox.session(default=False)
def mutate(session: nox.Session) -> None:
    """Break the reference stacks one property at a time: does a rule notice? `-- --write` writes docs/mutation.md."""
    install(session, "check")
    session.run("python", "-m", "mutate", *session.posargs, env=KEEP_COMPILED)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Draw the reference stacks' diagrams anew; with `-- --check` only say which are out of date."""
    install(session, "check")
    session.run("python", "-m", "docs.diagrams", *session.posargs, env=KEEP_COMPILED)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Resolve the requirements anew and write the locked files."""
    session.install("uv")
    for path, arguments in LOCKED.items():
        session.run(
            *("uv", "pip", "compile", *arguments),
            *("--universal", "--python-version=3.11", "--generate-hashes", "--no-emit-index-url"),
            *("--no-header", "--quiet"),
            *(f"--output-file={path}", *session.posargs),
        )


EXTRAS = ["--extra=azure", "--extra=aws", "--extra=testing", "--extra=emulators"]
LOCKED = {
    "requirements/check.txt": ["pyproject.toml", "--extra=azure", "--extra=aws", "--group=build"],
    "requirements/lint.txt": ["--group=lint"],
    "requirements/types.txt": ["pyproject.toml", "--group=build", "--group=types"],
    "requirements/dev.txt": ["pyproject.toml", *EXTRAS, "--group=dev"],
    "src/ringfence/emulators/aws/requirements.txt": ["--group=aws-emulator", "--no-annotate"],
    "tests/integration/stacks/inference_server.txt": ["stacks/model_serving/app/requirements.txt", "--no-annotate"],
}
"""Locked file to what goes into it."""
