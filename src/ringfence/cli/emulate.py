"""`ringfence emulate`: run a command against emulators that have what a project declares."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringfence.cli import shared

__all__ = ["add"]

SERVICES = ("storage", "cosmos", "service-bus", "aws")
USAGE = "ringfence emulate [PROJECT] [--stack NAME] [--service NAME…] [--emulators auto|docker|process] -- COMMAND..."

DESCRIPTION = """\
Start emulators, make on them what a project declares, run a command with their endpoints in its environment, and stop
everything. The command's exit code is passed on, and so are signals to it. Nothing is left behind.

  ringfence emulate stacks/shop -- pytest tests/integration      what the stack declares is there when the tests run
  ringfence emulate stacks/shop -- env                           shows what the command gets
  ringfence emulate --service storage -- python app.py           an empty emulator, without a project
  ringfence emulate stacks/shop -- pulumi -C stacks/shop up --yes
  ringfence emulate --engine pulumi stacks/shop -- sh -c 'cd stacks/shop && pulumi up --yes && pulumi destroy --yes'

Standard error says which emulators ran and in what, and has a table of all that is not on them as it is declared. When
the command is the Pulumi CLI itself, or with --engine pulumi, the resources are made and deleted by its own `up` and
`destroy`, with ringfence's provider in place of every provider plugin; else they are made before the command runs.

Where a Docker daemon answers, the official images run; else, or with --emulators process, Azurite as a process, fakes
of Cosmos DB and Service Bus, and MiniStack with moto for AWS. RINGFENCE_IMAGE_AZURITE, _COSMOS, _SERVICE_BUS, _SQL,
_AWS and _MOTO name other images. Service Bus in Docker wants ACCEPT_EULA=Y, if you accept Microsoft's licences.

The environment holds RINGFENCE_STORAGE_CONNECTION_STRING, RINGFENCE_COSMOS_ENDPOINT, RINGFENCE_COSMOS_KEY,
RINGFENCE_SERVICE_BUS_CONNECTION_STRING, AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE>, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION, as far as the project needs them, and RINGFENCE_STACK_OUTPUTS: the stack's
outputs as JSON. Of several accounts or namespaces the first one has these names, and each has them with its own name
behind, as in RINGFENCE_COSMOS_KEY_ORDERS."""


class UsageError(ValueError):
    """The command line is wrong."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "emulate",
        help="run a command against emulators of what a project declares",
        usage=USAGE,
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    # Everything up to `--` is ours; argparse would look for options of ours in the command, too.
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stack", default="", metavar="NAME", help="default: the only stack, else `dev`")
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a config value over those of Pulumi.<stack>.yaml; may be repeated",
    )
    parser.add_argument(
        "--service",
        action="extend",
        nargs="+",
        default=[],
        choices=SERVICES,
        metavar="NAME",
        help=f"which emulators to start: {', '.join(SERVICES)} (default: those that the project's resources need)",
    )
    parser.add_argument(
        "--engine",
        choices=("embedded", "pulumi"),
        help="who makes the resources: embedded, before the command runs, or pulumi, a `pulumi up` inside the command "
        "(default: pulumi when the command is the Pulumi CLI)",
    )
    parser.add_argument(
        "--emulators",
        choices=("auto", "docker", "process"),
        help="what emulators run in: docker (the official images), process (no Docker), or auto, Docker when its "
        "daemon answers (default: RINGFENCE_EMULATORS, else auto)",
    )
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    project, command = _split(options)
    if not command:
        raise UsageError("emulate: expected a command after `--`, for example `ringfence emulate -- pytest`")
    config = shared.config_values(options.config)
    from ringfence.emulate import Target, find_target, run_emulated

    folder = find_target(project)
    if folder is None and not options.service:
        raise UsageError("emulate: expected a PROJECT, or --service with the emulators to start")
    target = Target(folder, options.stack, config) if folder is not None else None
    services = tuple(dict.fromkeys(options.service))
    return run_emulated(command, target, services, engine=options.engine, emulators=options.emulators)


def _split(options: argparse.Namespace) -> tuple[Path | None, Sequence[str]]:
    """Return the project and the command. Options may stand on both sides of the project."""
    words: list[str] = options.words
    place = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="ringfence emulate", usage=USAGE, add_help=False)
    _add_options(parser)
    parser.add_argument("project", nargs="?", type=Path)
    defaults = {key: value for key, value in vars(options).items() if key not in ("words", "run", "command")}
    found = parser.parse_args(words[:place], argparse.Namespace(**defaults))
    vars(options).update(vars(found))
    return found.project, words[place + 1 :]
