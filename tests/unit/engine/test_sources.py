"""Source lines: which line of the user's program made a resource, and who called that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ringfence.deployment import Deployment, SourceLine
from ringfence.engine.frames import is_library_file, is_user_file
from tests.unit.engine.rehearsal import line_of, named, rehearse_file

MAIN = """
import pulumi
from parts.site import Site
from thing import Thing

def make(name):
    return Thing(name)  # line: in make

Thing("plain")  # line: plain
make("made")  # line: make
[Thing(name) for name in ["listed"]]  # line: listed
site = Site("site")  # line: site
Thing(
    "over lines",  # line: over lines
    size=1,
)
Thing("first").id.apply(lambda _: Thing("applied"))  # line: applied
Thing.get("read", "id-1")  # line: read
"""
SITE = """
import pulumi
from thing import Thing


class Site(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Site", name)
        self.bucket = self.part("bucket")  # line: bucket
        Shelf(f"{name}-shelf", self)  # line: shelf

    def part(self, name):
        return Thing(name, opts=pulumi.ResourceOptions(parent=self))  # line: part


class Shelf(pulumi.ComponentResource):
    def __init__(self, name, parent):
        super().__init__("test:index:Shelf", name, opts=pulumi.ResourceOptions(parent=parent))
        Thing("book", opts=pulumi.ResourceOptions(parent=self))  # line: book
"""
THING = """
import pulumi

class Thing(pulumi.CustomResource):
    def __init__(self, name, size=None, opts=None):
        super().__init__("test:index:Thing", name, {"size": size}, opts)

    @staticmethod
    def get(name, id):
        return Thing(name, opts=pulumi.ResourceOptions(id=id))  # line: get
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "site.py").write_text(SITE)
    (folder / "thing.py").write_text(THING)
    return folder


@pytest.fixture(scope="module")
def deployment(project: Path) -> Deployment:
    return rehearse_file(project, MAIN)


@pytest.mark.parametrize(
    ("name", "chain"),
    [
        ("plain", ["__main__.py plain"]),
        ("made", ["__main__.py in make", "__main__.py make"]),
        ("over lines", None),
        ("applied", ["__main__.py applied"]),
        ("read", ["thing.py get", "__main__.py read"]),
        # A component is where it is constructed; its children, in its own class first.
        ("site", ["__main__.py site"]),
        ("bucket", ["parts/site.py part", "parts/site.py bucket", "__main__.py site"]),
        ("site-shelf", ["parts/site.py shelf", "__main__.py site"]),
        ("book", ["parts/site.py book", "parts/site.py shelf", "__main__.py site"]),
    ],
)
def test_the_user_s_lines_innermost_first(
    project: Path, deployment: Deployment, name: str, chain: list[str] | None
) -> None:
    resource = named(deployment, name)

    if chain is None:  # Python says the line on which the call begins
        chain = ["__main__.py over lines"]
        expected = [SourceLine(str(project / "__main__.py"), line_of(project / "__main__.py", "over lines") - 1)]
    else:
        places = [item.split(" ", 1) for item in chain]
        expected = [SourceLine(str(project / file), line_of(project / file, mark)) for file, mark in places]
    assert list(resource.source_chain) == expected
    assert resource.source == expected[0]


def test_the_line_of_a_comprehension_comes_once_for_each_frame(project: Path, deployment: Deployment) -> None:
    lines = {line.line for line in named(deployment, "listed").source_chain}

    assert lines == {line_of(project / "__main__.py", "listed")}


def test_library_functions_are_not_the_user_s(tmp_path: Path) -> None:
    library = tmp_path / "venv" / "lib" / "site-packages" / "toolbox"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(
        THING + "\ndef make_all(names):\n    for name in names:\n        Thing(name)\n        deeper(name + '-deep')\n"
        "\ndef deeper(name):\n    Thing(name, opts=pulumi.ResourceOptions())\n"
    )
    code = """
    import sys
    from pathlib import Path
    sys.path.insert(0, str(Path(__file__).parent / "venv" / "lib" / "site-packages"))
    from toolbox import make_all

    def mine():
        make_all(["a"])  # line: call

    mine()  # line: mine
    """
    deployment = rehearse_file(tmp_path, code)

    main = tmp_path / "__main__.py"
    for name in ("a", "a-deep"):
        assert named(deployment, name).source == SourceLine(str(main), line_of(main, "call"))
        assert [line.line for line in named(deployment, name).source_chain] == [
            line_of(main, "call"),
            line_of(main, "mine"),
        ]


def test_a_class_of_the_user_s_that_adds_inputs_comes_first(project: Path) -> None:
    code = """
    from thing import Thing

    class Large(Thing):
        def __init__(self, name):
            super().__init__(name, size="large")  # line: inputs

    Large("large")  # line: constructed
    """
    main = project / "__main__.py"
    deployment = rehearse_file(project, code)

    assert [line.line for line in named(deployment, "large").source_chain] == [
        line_of(main, "inputs"),
        line_of(main, "constructed"),
    ]


def test_components_made_without_a_class_of_their_own(project: Path) -> None:
    code = """
    import pulumi

    class Outer(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("x:y:Outer", name)
            pulumi.ComponentResource("x:y:Bare", "bare")  # line: bare

    Outer("outer")  # line: outer
    """
    main = project / "__main__.py"
    deployment = rehearse_file(project, code)

    assert [line.line for line in named(deployment, "bare").source_chain] == [
        line_of(main, "bare"),
        line_of(main, "outer"),
    ]


def test_a_chain_does_not_grow_without_end(project: Path) -> None:
    code = """
    from thing import Thing

    def down(depth):
        return down(depth - 1) if depth else Thing("deep")  # line: down

    down(200)
    """
    deployment = rehearse_file(project, code)

    chain = named(deployment, "deep").source_chain
    assert len(chain) == 32
    assert chain[0].line == line_of(project / "__main__.py", "down")


@pytest.mark.parametrize(
    ("path", "library"),
    [
        ("/home/dev/shop/__main__.py", False),
        ("/home/dev/shop/venv/lib/python3.12/site-packages/pulumi_aws/s3/bucket.py", True),
        ("/usr/lib/python3/dist-packages/yaml/__init__.py", True),
        (pytest.__file__, True),
        (os.__file__, True),
    ],
)
def test_libraries(path: str, library: bool) -> None:
    assert is_library_file(path) == library
    assert is_user_file(path) == (not library)


def test_generated_code_has_no_file() -> None:
    assert not is_user_file("<string>")
    assert not is_user_file("<frozen runpy>")
    assert not is_user_file("")
