"""How many examples the property tests draw: few by default, more with `--hypothesis-profile=fuzz` (`nox -s fuzz`)."""

from __future__ import annotations

import signal

from hypothesis import settings

# The properties of stacks and rules ask for a share of a profile's examples: see `tests/property/examples.py`.
settings.register_profile("fuzz", max_examples=2000, deadline=None, print_blob=True)

# A shell that runs a script's command in the background has it ignore interrupts, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
