from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from ringfence.moved import AZURE_NATIVE_MODULES, AZURE_NATIVE_TYPES


@pytest.fixture(scope="module")
def sdk() -> Path:
    spec = importlib.util.find_spec("pulumi_azure_native")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.mark.parametrize("old", sorted(AZURE_NATIVE_MODULES))
def test_the_sdk_has_no_old_module_and_all_new_ones(sdk: Path, old: str) -> None:
    assert not (sdk / old).exists()
    assert all((sdk / new / "__init__.py").is_file() for new in AZURE_NATIVE_MODULES[old])


@pytest.mark.parametrize("old", sorted(AZURE_NATIVE_MODULES))
def test_the_aliases_of_the_new_modules_name_the_old_one(sdk: Path, old: str) -> None:
    for new in AZURE_NATIVE_MODULES[old]:
        files = [path for path in (sdk / new).glob("*.py") if not path.name.startswith(("_", "get_", "list_"))]
        assert any(f'type_="azure-native:{old}' in path.read_text() for path in files), new


@pytest.mark.parametrize(("old", "new"), sorted(AZURE_NATIVE_TYPES.items()))
def test_each_type_carries_its_old_token(sdk: Path, old: str, new: str) -> None:
    module, name = new.split(":")
    file = sdk / module / f"{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()}.py"

    assert re.search(rf'type_="azure-native:{old.split(":")[0]}(/v\w+)?:{name}"', file.read_text())
