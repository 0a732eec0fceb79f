from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.engine.languages.interface import RemoteProgram
from ringfence.packs.explain import fault
from ringfence.packs.launch import PackLaunch
from ringfence.policy.manifest import Manifest

FOLDER = Path("/guard")


def launched(runtime: str) -> PackLaunch:
    manifest = Manifest(FOLDER / "PulumiPolicy.yaml", runtime)
    return PackLaunch(manifest, (), {}, None, RemoteProgram(runtime, FOLDER, "shop", "dev"))


NODE = """\
Error validating resource with policy 'no-pets' from policy pack 'guard@v0.0.9':
TypeError: Cannot read properties of undefined (reading 'size')
    at inner (/guard/node_modules/lib/index.js:3:4)
    at validate (/guard/rules/pets.ts:18:9)
    at /guard/index.ts:5:1
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)"""

PYTHON = """\
Exception calling application: 'size'
Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/grpc/_server.py", line 616, in _call_behavior
    response_or_iterator = behavior(argument, context)
  File "/guard/__main__.py", line 9, in validate
    check(args)
  File "/guard/rules.py", line 4, in check
    return args.props["size"]
  File "/venv/lib/python3.11/site-packages/pulumi_policy/proxy.py", line 94, in __getitem__
    return _raise_if_unknown(key, self.__target[key], self.__props_acc)
KeyError: 'size'
"""


@pytest.mark.parametrize(
    ("runtime", "details", "errors", "expected"),
    [
        ("nodejs", NODE, "", "TypeError: Cannot read properties of undefined (reading 'size') (rules/pets.ts:18)"),
        ("nodejs", "\x1b[31mError: red\x1b[0m", "", "Error: red"),
        ("nodejs", "Error validating resource with policy 'a' from policy pack 'b@v1':\nodd", "", "odd"),
        ("python", "Exception calling application: 'size'", PYTHON, "KeyError: 'size' (rules.py:4)"),
        ("python", "Exception calling application: 'size'", "", "'size'"),
        ("opa", "evaluating rule: undefined function", "", "evaluating rule: undefined function"),
    ],
)
def test_what_a_policy_raised(runtime: str, details: str, errors: str, expected: str) -> None:
    assert fault(details, errors, launched(runtime)) == expected
