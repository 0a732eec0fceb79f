"""Build images for the Docker back ends where the official ones cannot be pulled.

`python -m tests.integration.emulators.images.build BASE` takes an image with Python 3.11 (a minimal Debian will do),
copies what the process back ends have installed into it, and tags the results `ringfence-local/azurite` and
`ringfence-local/aws`. Nothing is downloaded, and no command runs in a container while they are built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ringfence.emulators import azurite
from ringfence.emulators.aws import emulator as aws

HERE = Path(__file__).parent
AZURITE = """\
FROM {base}
COPY node /usr/local/bin/node
COPY azurite /opt/azurite
COPY run /usr/local/bin/azurite
"""
RUN_AZURITE = """\
#!/bin/sh
exec /usr/local/bin/node /opt/azurite/node_modules/azurite/dist/src/azurite.js "$@"
"""
AWS = """\
FROM {base}
COPY site-packages /usr/lib/python3/dist-packages
COPY gateway /usr/lib/python3/dist-packages/gateway
COPY serve_aws.py /opt/serve_aws.py
ENV PYTHONUNBUFFERED=1
CMD ["python3", "/opt/serve_aws.py"]
"""


def build(base: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(AZURITE.format(base=base), encoding="utf-8")
        shutil.copy(azurite._node(), folder / "node")
        shutil.copytree(azurite._install(), folder / "azurite", symlinks=True)
        (folder / "run").write_text(RUN_AZURITE, encoding="utf-8")
        (folder / "run").chmod(0o755)
        _build(folder, "ringfence-local/azurite")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(AWS.format(base=base), encoding="utf-8")
        (packages,) = (aws._install() / "lib").glob("python*/site-packages")
        shutil.copytree(packages, folder / "site-packages")
        _copy_runtime_client(folder / "site-packages")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(aws.HERE / "gateway", folder / "gateway", ignore=ignored)
        shutil.copy(HERE / "serve_aws.py", folder)
        _build(folder, "ringfence-local/aws")


def _copy_runtime_client(target: Path) -> None:
    """Add what functions run with, which the process back end takes from the tests' own environment."""
    import awslambdaric

    packages = Path(awslambdaric.__file__).parents[1]
    for path in packages.iterdir():
        if path.name.startswith(("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson")):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target / path.name)  # type: ignore[operator]


def _build(folder: Path, tag: str) -> None:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, "."], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    build(sys.argv[1])
