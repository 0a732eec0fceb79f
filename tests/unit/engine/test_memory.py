"""What a program leaves behind when it ends."""

from __future__ import annotations

import gc
from pathlib import Path

from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource

PROGRAM = """\
import pulumi


class ALargeClassOfAProgram(pulumi.ComponentResource):
    endpoint: pulumi.Output[str]

    def __init__(self, name):
        super().__init__("test:index:Group", name)
        self.register_outputs({"endpoint": "a"})


pulumi.export("group", ALargeClassOfAProgram("a").urn)
"""


def test_classes_of_programs_that_have_ended_are_let_go(tmp_path: Path) -> None:
    # The SDK's caches hold every class that they were asked about, and through it the program's modules.
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "__main__.py").write_text("import parts\n")
    (tmp_path / "parts.py").write_text(PROGRAM)
    for _ in range(3):
        assert EmbeddedSource().evaluate(Request(tmp_path)).error is None
    gc.collect()
    alive = [item for item in gc.get_objects() if isinstance(item, type)]

    assert [item for item in alive if item.__name__ == "ALargeClassOfAProgram"] == []
