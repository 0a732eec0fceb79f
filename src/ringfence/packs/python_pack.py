"""Runs `python -m pulumi.policy`, as the engine does, in the process and the environment of a pack in Python.

What a policy raises reaches the engine without its place. gRPC logs that to a logger that writes nowhere; here it
writes to standard error. On SIGUSR1 the process says where it is. Nothing of ringfence is imported: the environment may
not have it.
"""

import faulthandler
import logging
import os
import runpy
import signal
import sys

if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # noqa: PTH109 - what `-m` puts there
    if os.path.isfile(sys.argv[-1]):  # noqa: PTH113
        # `main` names a file: what stands beside it can be imported, as beside a `__main__.py`.
        sys.path.insert(0, os.path.dirname(sys.argv[-1]))  # noqa: PTH120
    faulthandler.register(signal.SIGUSR1)
    logging.getLogger("grpc").addHandler(logging.StreamHandler())
    runpy.run_module("pulumi.policy", run_name="__main__", alter_sys=True)
