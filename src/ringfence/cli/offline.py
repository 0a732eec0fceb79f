"""`ringfence offline`: run a command with the offline provider attached."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add"]

DESCRIPTION = """\
Run a command, such as the Pulumi CLI, with ringfence's offline provider in place of every provider plugin. No plugin
is downloaded, no cloud is reached, no login and no credentials are needed. The program may be in any language.

  ringfence offline -- pulumi preview
  ringfence offline -- pulumi preview --stack prod --policy-pack policies/
  ringfence offline -- sh -c 'pulumi up --yes && pulumi preview --expect-no-changes'

State and stacks are thrown away afterwards: the command gets a file backend, a Pulumi home and a passphrase of its own,
unless PULUMI_BACKEND_URL, PULUMI_HOME or PULUMI_CONFIG_PASSPHRASE are set. In that backend each stack with a
Pulumi.<stack>.yaml exists, empty, and so does the one that --stack names: there is nothing to create or select. A
command that names no stack is about the only one, else about `dev`. With a backend of your own, stacks are yours to
create, and what `up` and `destroy` do is written to the state there although nothing is deployed.

With the throw-away backend your config files stay as they are: a command works on copies. Secrets in them that cannot
be decrypted, because no passphrase is set, are unknown in a preview and the text `placeholder` otherwise. Stack
references of the form organization/project/stack are answered from [stack-references] in ringfence.toml, functions from
[invokes].

Where a Python project or pack names a virtual environment that is not there, the CLI makes one, over the network. If
ringfence's own Python has all that requirements.txt asks for, a link to it stands in for the length of the command."""


class UsageError(ValueError):
    """The command line is wrong."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "offline",
        help="run the Pulumi CLI without plugins, cloud or login",
        usage="ringfence offline [--outputs {synthetic,unknown}] -- COMMAND...",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--outputs",
        choices=("synthetic", "unknown"),
        default="synthetic",
        help="synthetic (default): a preview gets provider outputs as if applied, so ARNs and ids inside JSON are "
        "known; unknown: exactly what a first `pulumi preview` knows",
    )
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise UsageError("offline: expected a command, for example `ringfence offline -- pulumi preview`")
    from ringfence.offline import run_offline

    return run_offline(words, options.outputs)
