"""What a program's process leaves behind, read as an error with the user's line; no process is started here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import resource_pb2, source_pb2

from ringfence.engine.grpc_server import _LEGACY_FEATURES
from ringfence.engine.languages.go import GoLanguage
from ringfence.engine.languages.interface import Ended, Language, RemoteProgram, own_environment
from ringfence.engine.languages.nodejs import NodeLanguage
from ringfence.engine.languages.python import PythonLanguage
from ringfence.engine.languages.source_frames import keep_user_frames


def explained(
    language: Language,
    folder: Path,
    *,
    record: Any = None,
    logged: tuple[str, ...] = (),
    output: str = "",
    code: int = 1,
) -> tuple[str, tuple[str, int] | None]:
    """Return the message and the place of what a process left."""
    program = RemoteProgram(runtime="test", folder=folder, project="shop", stack="dev")
    path = folder / "record"
    if record is not None:
        path.write_text(record if isinstance(record, str) else json.dumps(record) + "\n")
    error = language.explain(program, Ended(code, output, logged, path))
    source = error.source
    return error.message, (Path(source.path).name, source.line) if source else None


def thrown(name: str, message: str, stack: str = "", *, plain: bool = False) -> dict[str, Any]:
    return {"name": name, "message": message, "stack": stack, "plain": plain}


STACK = """Error: no good
    at inner (/p/node_modules/lib/index.js:1:2)
    at Object.<anonymous> (/p/shop/index.ts:7:11)
    at Module._compile (node:internal/modules/cjs/loader:1:1)"""


@pytest.mark.parametrize(
    ("entry", "message", "place"),
    [
        (thrown("Error", "no good", STACK), "no good", ("index.ts", 7)),
        (thrown("RangeError", "far", STACK), "RangeError: far", ("index.ts", 7)),
        (thrown("RunError", "Missing", STACK, plain=True), "Missing", ("index.ts", 7)),
        (thrown("", "text that was thrown"), "text that was thrown", None),
        (thrown("Error", "", STACK), "The program threw an error without a message.", ("index.ts", 7)),
        (
            thrown("Error", "no good", "Error: no good\n    at async file:///p/shop/index.ts:9:1"),
            "no good",
            ("index.ts", 9),
        ),
        (
            thrown(
                "TSError",
                "\u2a2f Unable to compile TypeScript:\na/b.ts(3,7): error TS2322: Wrong.\nc.ts(1,1): error TS1: No.\n",
            ),
            "The program does not compile: error TS2322: Wrong. (and 1 more)",
            ("b.ts", 3),
        ),
        (
            thrown(
                "TSError",
                "Unable to compile:\n\x1b[96ma/b.ts\x1b[0m:\x1b[93m3\x1b[0m:\x1b[93m7\x1b[0m - error TS9: Wrong.\n",
            ),
            "The program does not compile: error TS9: Wrong.",
            ("b.ts", 3),
        ),
        (
            thrown(
                "SyntaxError", "Unexpected token", "/p/shop/index.js:4\nconst x = ;\n\nSyntaxError: Unexpected token"
            ),
            "SyntaxError: Unexpected token",
            ("index.js", 4),
        ),
        (
            thrown("Error", "Cannot find module 'left-pad'\nRequire stack:\n- /p/shop/lib.ts\n- /p/shop/index.ts"),
            "Cannot find module 'left-pad'. If the program needs it, add it to package.json and install it",
            ("lib.ts", 1),
        ),
        (thrown("Error", "Cannot find module './lib'", STACK), "Cannot find module './lib'", ("index.ts", 7)),
    ],
)
def test_node_errors(tmp_path: Path, entry: dict[str, Any], message: str, place: tuple[str, int] | None) -> None:
    assert explained(NodeLanguage(), tmp_path, record=entry) == (message, place)


@pytest.mark.parametrize(
    ("output", "code", "message", "place"),
    [
        ("FATAL ERROR: JavaScript heap out of memory", -6, "The program needs more memory than Node gives it.", None),
        ("", -9, "The program was ended by signal 9 before it was done.", None),
        ("/p/shop/index.js:3\n  x = ;\nSyntaxError: Bad token\n", 1, "SyntaxError: Bad token", ("index.js", 3)),
    ],
)
def test_node_ends_without_an_error_of_the_program(
    tmp_path: Path, output: str, code: int, message: str, place: tuple[str, int] | None
) -> None:
    assert explained(NodeLanguage(), tmp_path, output=output, code=code) == (message, place)


def test_node_records_that_were_cut_off_do_not_count(tmp_path: Path) -> None:
    assert explained(NodeLanguage(), tmp_path, record='{"name": "Err', logged=("no good",)) == (
        "The program logged an error: no good",
        None,
    )


PANIC = """panic: out of range [recovered]
\tpanic: out of range

goroutine 1 [running]:
shop.lib(...)
\t/home/dev/go/pkg/mod/lib@v1/lib.go:3
main.main()
\t/p/shop/main.go:12 +0x1d
"""


def test_go_errors(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {\n\tpulumi.Run(deploy)\n}\n")
    (tmp_path / "main_test.go").write_text("package main\n// pulumi.Run(\n")
    run = ("main.go", 4)

    assert explained(GoLanguage(), tmp_path, output=PANIC) == ("panic: out of range", ("main.go", 12))
    several = "an unhandled error occurred: program failed:\n2 errors occurred:\n\t* no good\n\n"
    assert explained(GoLanguage(), tmp_path, logged=(several,)) == ("no good", run)
    single = "error: program failed: no zone\nexit status 1"
    assert explained(GoLanguage(), tmp_path, output=single) == ("no zone", run)
    assert explained(GoLanguage(), tmp_path, code=3) == (
        "The program ended itself with exit code 3 before it was done.",
        run,
    )


def test_python_errors_leave_out_what_the_sdk_wraps_around_them(tmp_path: Path) -> None:
    record = {
        "chain": [
            {"name": "AssertionError", "message": "While processing resource: 'queue', type T", "frames": []},
            {"name": "AssertionError", "message": "While processing input: 'size', type T, value s3cr3t", "frames": []},
            {"name": "TypeError", "message": "unexpected", "frames": [["/usr/lib/python3.11/json/x.py", 3]]},
        ],
        "details": "",
    }

    assert explained(PythonLanguage(), tmp_path, record=record) == ("queue: size: unexpected", None)


@pytest.mark.parametrize(
    ("language", "path", "own"),
    [
        (NodeLanguage(), "/p/shop/index.ts", True),
        (NodeLanguage(), "/p/shop/node_modules/a/index.js", False),
        (NodeLanguage(), "node:internal/x", False),
        (GoLanguage(), "/p/shop/main.go", True),
        (GoLanguage(), "/home/dev/go/pkg/mod/a@v1/a.go", False),
        (GoLanguage(), "/p/shop/vendor/a/a.go", False),
        (GoLanguage(), "command-line-arguments", False),
        (PythonLanguage(), "/p/shop/__main__.py", True),
        (PythonLanguage(), "/p/shop/venv/lib/python3.12/site-packages/a.py", False),
        (PythonLanguage(), "/opt/python/lib/python3.9/runpy.py", False),
        (PythonLanguage(), "<frozen runpy>", False),
    ],
)
def test_whose_file_it_is(language: Language, path: str, own: bool) -> None:
    assert language.is_user_file(path) is own


@pytest.mark.parametrize(
    ("language", "marker", "text"),
    [
        (NodeLanguage(), "package.json", '{"name": "@pulumi/own", "pulumi": {"resource": true}}'),
        (GoLanguage(), "pulumi-plugin.json", "{}"),
    ],
)
def test_a_generated_sdk_is_not_the_users(tmp_path: Path, language: Language, marker: str, text: str) -> None:
    sdk = tmp_path / "sdks" / "own"
    (sdk / "bin").mkdir(parents=True)
    (sdk / marker).write_text(text)

    assert not language.is_user_file(str(sdk / "bin" / "thing.ts"))
    assert language.is_user_file(str(tmp_path / "index.ts"))


def request(*positions: tuple[Path, int, int]) -> resource_pb2.RegisterResourceRequest:
    frames = [
        source_pb2.StackFrame(pc=source_pb2.SourcePosition(uri=path.as_uri(), line=line, column=column))
        for path, line, column in positions
    ]
    return resource_pb2.RegisterResourceRequest(
        stackTrace=source_pb2.StackTrace(frames=frames), sourcePosition=frames[0].pc
    )


def test_a_call_of_the_base_class_is_not_what_makes_a_resource(tmp_path: Path) -> None:
    program = tmp_path / "with space.ts"
    program.write_text("class A extends B {\n  constructor() {\n    super(1);\n  }\n}\nnew A(); super(2);\n")
    library = tmp_path / "node_modules" / "lib.js"
    asked = request((library, 1, 1), (program, 3, 5), (program, 6, 1))

    keep_user_frames(asked, NodeLanguage().is_user_file)

    assert [frame.pc.line for frame in asked.stackTrace.frames] == [6]
    assert (asked.sourcePosition.line, asked.sourcePosition.column) == (6, 1)


def test_a_frame_of_a_library_alone_says_nothing(tmp_path: Path) -> None:
    asked = request((tmp_path / "node_modules" / "lib.js", 1, 1))

    keep_user_frames(asked, NodeLanguage().is_user_file)

    assert not asked.stackTrace.frames
    assert not asked.HasField("sourcePosition")


def test_older_sdks_ask_for_features_by_name() -> None:
    assert {
        "secrets",
        "resourceReferences",
        "outputValues",
        "aliasSpecs",
        "deletedWith",
        "parameterization",
        "transforms",
        "invokeTransforms",
        "resourceHooks",
        "errorHooks",
    } <= _LEGACY_FEATURES
    assert "sendsOptionsToHooks" not in _LEGACY_FEATURES


def test_only_an_environment_that_is_there_and_another_is_a_projects_own(tmp_path: Path) -> None:
    interpreter = tmp_path / "own" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()

    assert own_environment(tmp_path, {"virtualenv": "own"}) == interpreter
    assert own_environment(tmp_path, {"virtualenv": "missing"}) is None
    assert own_environment(tmp_path, {"virtualenv": sys.prefix}) is None
    assert own_environment(tmp_path, {}) is None
