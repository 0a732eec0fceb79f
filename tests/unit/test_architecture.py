"""What ARCHITECTURE.md promises about imports, beyond what import-linter can say."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADAPTERS = {
    "pulumi": {"src/ringfence/engine/_pulumi_sdk/", "src/ringfence/providers/sdk_types.py"},
    "pulumi_policy": {"src/ringfence/policy/_pulumi_policy.py"},
}
PUBLIC_MODULES = {"pulumi.runtime.proto"}


def private_uses(path: Path) -> Iterator[tuple[str, str]]:
    """Yield package and name for each private part of pulumi or pulumi_policy that a file imports or reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            package = node.module.split(".")[0]
            names = [*node.module.split(".")[1:], *(alias.name for alias in node.names)]
            if package in ADAPTERS and any(name.startswith("_") for name in names):
                yield package, f"{node.module}: {', '.join(names)}"
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            base = node
            while isinstance(base, ast.Attribute):
                base = base.value  # type: ignore[assignment]
            if isinstance(base, ast.Name) and base.id in ADAPTERS:
                yield base.id, ast.unparse(node)


def sources() -> list[Path]:
    return sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("policies/**/*.py")])


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_private_parts_are_used_in_their_adapters_alone(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    strays = [use for package, use in private_uses(path) if not name.startswith(tuple(ADAPTERS[package]))]

    assert strays == []


def test_the_adapters_do_use_private_parts() -> None:
    # Otherwise the test above would look for nothing.
    for package, adapters in ADAPTERS.items():
        files = [path for path in sources() if path.relative_to(ROOT).as_posix().startswith(tuple(adapters))]
        assert any(found == package for path in files for found, _ in private_uses(path)), package


def test_help_loads_neither_pulumi_nor_rich() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from ringfence.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'pulumi', 'pulumi_policy', 'rich', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
