"""The entry point of a locally built AWS image: binds as LocalStack is told to, and runs ringfence's own gateway."""

from __future__ import annotations

import os
import socket
import sys

port = int(os.environ.get("GATEWAY_LISTEN", "0.0.0.0:4566").rpartition(":")[2])
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", port))
os.set_inheritable(listener.fileno(), True)
# The gateway ends when its standard input does: this pipe stays open for as long as it runs.
reader, writer = os.pipe()
os.set_inheritable(writer, True)
os.dup2(reader, 0)
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", MINISTACK_ACCOUNT_ID="000000000000")
os.execv(sys.executable, [sys.executable, "-m", "gateway", str(port), str(listener.fileno()), sys.executable])
