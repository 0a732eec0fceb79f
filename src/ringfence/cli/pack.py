"""`ringfence pack init`: write a policy-pack folder for another repository."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add"]

DESCRIPTION = """\
Make a policy pack, a folder that the Pulumi CLI enforces these guardrails from.

  ringfence pack init guardrails"""

INIT_DESCRIPTION = """\
Write a policy-pack folder that enforces these guardrails on the stacks of another repository. Commit it there; it is
yours to change.

  ringfence pack init guardrails
  python3 -m pip install -r guardrails/requirements.txt
  pulumi preview --policy-pack guardrails --policy-pack-config guardrails/policy-config.json

The folder has PulumiPolicy.yaml (runtime and toolchain), requirements.txt (what goes into the environment),
__main__.py (which rules are served) and policy-config.json (levels, parameters, exemptions), each with comments or a
README on what to change. `ringfence check --policy-pack DIR` judges by the same folder without the CLI."""


class PackInitError(ValueError):
    """The folder cannot be written. The message names it and says what to do."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "pack",
        help="write a policy-pack folder for another repository",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init: argparse.ArgumentParser = actions.add_parser(
        "init",
        help="write the folder",
        description=INIT_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    init.add_argument("folder", type=Path, metavar="DIR", help="the folder to write; it is made if need be")
    init.add_argument("--force", action="store_true", help="overwrite files that are there")
    init.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    init.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder: Path = options.folder
    if folder.exists() and not folder.is_dir():
        raise PackInitError(f"pack init: {folder} is a file; expected a folder, or a name for a new one")
    files = _files()
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there and not options.force:
        raise PackInitError(f"pack init: {folder} has {', '.join(there)} already; --force overwrites")
    folders = [name for name in there if (folder / name).is_dir()]
    if folders:
        raise PackInitError(f"pack init: {folder / folders[0]} is a folder where a file has to go")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"Wrote {', '.join(files)} to {folder}.\n")
    print("Next, with the Pulumi CLI:")
    print(f"  python3 -m pip install -r {folder / 'requirements.txt'}")
    print(f"  pulumi preview --policy-pack {folder} --policy-pack-config {folder / 'policy-config.json'}")
    return 0


def _files() -> dict[str, str]:
    from ringfence import __version__
    from ringfence_policies import PACK

    return {
        "PulumiPolicy.yaml": MANIFEST,
        "__main__.py": PROGRAM,
        "requirements.txt": REQUIREMENTS.format(version=__version__),
        "policy-config.json": CONFIG,
        "README.md": README.format(profiles=", ".join(PACK.profiles) or "none yet"),
        ".gitignore": "venv/\n__pycache__/\n",
    }


MANIFEST = """\
# A policy pack for the Pulumi CLI: pulumi preview --policy-pack <this folder>
description: Guardrails for AI workloads on Azure and AWS
version: 0.1.0
runtime:
  name: python
  options:
    # The pack runs in the Python that is first on the PATH, with requirements.txt installed there.
    toolchain: pip
    # To give it a virtual environment of its own: take the comment sign off, and make it before the first preview (the
    # Pulumi CLI waits for ever for a pack whose environment is missing):
    #   python3 -m venv venv && venv/bin/python -m pip install -r requirements.txt
    # virtualenv: venv
"""

PROGRAM = '''\
"""The guardrails that this policy pack serves. The Pulumi CLI starts it; it serves and does not return.

Levels, parameters and exemptions are not set here but in policy-config.json. This is the place to leave rules out for
good, or to add your own (see `ringfence.policy.rule`).
"""

from ringfence.policy.analyzer_server import serve
from ringfence.policy.pack import Pack
from ringfence_policies import PACK

LEFT_OUT: set[str] = set()  # codes, for example {"ST05"}; `ringfence rules` lists them

serve(Pack(PACK.name, PACK.version, tuple(rule for rule in PACK.rules if rule.code not in LEFT_OUT)))
'''

REQUIREMENTS = """\
# What this pack needs in the environment that it runs in. ringfence brings pulumi and pulumi-policy.
ringfence>={version}
"""

CONFIG = """\
{
  "pack-settings": {
    "comment": [
      "About all guardrails. strictUnknowns: a mandatory guardrail blocks where it cannot be decided before apply.",
      "profiles: optional guardrails to turn on. README.md beside this file says what else may stand here."
    ],
    "strictUnknowns": false,
    "profiles": []
  },
  "storage-https-only": {
    "comment": "Levels: advisory, mandatory, disabled; remediate mends the failure where the guardrail knows how.",
    "enforcementLevel": "mandatory"
  },
  "storage-blob-soft-delete": {
    "comment": "Exempt are failures that somebody answers for. This one matches nothing until you name a resource.",
    "exempt": [
      {
        "resource": "azure-native:storage:StorageAccount::name-of-an-account",
        "reason": "Why it is accepted.",
        "owner": "who answers for it",
        "expires": "2027-01-31"
      }
    ]
  }
}
"""

README = """\
# Guardrails

A policy pack for the Pulumi CLI, written by `ringfence pack init`.

    python3 -m pip install -r <this folder>/requirements.txt
    pulumi preview --policy-pack <this folder> --policy-pack-config <this folder>/policy-config.json

`ringfence rules` lists the guardrails, `ringfence rules ST02` explains one.

## policy-config.json

Each guardrail has an entry by its name, a level or an object. `comment` may stand in every object, for people.

    {{
      "web-managed-identity": "advisory",
      "storage-blob-soft-delete": {{"enforcementLevel": "advisory", "days": 14}},
      "storage-minimum-tls": {{"strictUnknowns": true}},
      "web-https-only": "remediate",
      "storage-https-only": {{
        "exempt": [{{"resource": "*::legacy*", "reason": "Ticket 4711.", "owner": "platform", "expires": "2027-01-31"}}]
      }},
      "all": "advisory",
      "pack-settings": {{"strictUnknowns": true, "profiles": []}}
    }}

- Levels: `advisory` is shown, `mandatory` blocks, `disabled` is off. `remediate` mends the failure where the guardrail
  knows how (a scalar is set, nothing else is touched) and blocks otherwise. `all` is about every guardrail.
- `strictUnknowns`: a mandatory guardrail that cannot be decided, because a value is not known before apply, blocks.
  Without it, it is shown and blocks nothing.
- `exempt`: failures that somebody answers for. `resource` is a URN, `type::name` or a glob of either, all by default;
  `property` is the path of one property; `expires` is the last day on which it holds. They are reported as not
  applicable, with the reason.
- Other keys are the guardrail's own parameters. A wrong name or value is an error that names guardrail and key.
- `pack-settings` is about all guardrails: `strictUnknowns`, and `profiles` to turn on (there are: {profiles}).
"""
