"""The app, called as the inference server of Azure Machine Learning calls it.

The server imports the script, calls `init` once and `run` for each request, with the body as text and the headers as a
mapping, by the names of its parameters. What `run` returns must be a response of the server's own.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import logging
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.stacks.loading import STACKS, load

APP = STACKS / "model_serving" / "app"
MODEL = APP / "model"

(linear_model, scoring_request) = load("model_serving", "linear_model", "scoring_request")


@dataclass
class AMLResponse:
    """Takes the arguments of `azureml_inference_server_http.api.aml_response.AMLResponse`, version 1.5.1."""

    message: Any
    status_code: int
    response_headers: Any = None
    json_str: bool = False
    run_function_failed: bool = False

    @property
    def document(self) -> Any:
        """Return what the caller gets, which must survive being JSON."""
        assert self.json_str
        return json.loads(json.dumps(self.message, allow_nan=False))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the scoring script as the server imports it, with the model of the repository, before `init`."""
    parent = "azureml_inference_server_http"
    response = ModuleType(f"{parent}.api.aml_response")
    vars(response)["AMLResponse"] = AMLResponse
    for name in (parent, f"{parent}.api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, response.__name__, response)
    monkeypatch.syspath_prepend(str(APP))
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(MODEL))
    for name in ("linear_model", "scoring_request", "structured_log"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location("entry_module", APP / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    logging.getLogger("scoring").handlers.clear()
    for name in ("linear_model", "scoring_request", "structured_log"):
        sys.modules.pop(name, None)


ROW = {"tenure_months": 3, "monthly_charge": 90, "support_calls": 6, "late_payments": 2, "on_contract": 0}


def call(script: ModuleType, body: str, headers: dict[str, str] | None = None) -> AMLResponse:
    answer = script.run(raw_data=body, request_headers=headers or {})
    assert isinstance(answer, AMLResponse)
    return answer


def body_of(*rows: Any) -> str:
    return json.dumps({"inputs": list(rows)})


def test_the_script_has_the_functions_that_the_server_calls(script: ModuleType) -> None:
    parameters = inspect.signature(script.run).parameters

    assert list(inspect.signature(script.init).parameters) == []
    # The server gives headers to a parameter of this name, and the body to the first of the others.
    assert list(parameters) == ["raw_data", "request_headers"]
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_a_request_is_scored(script: ModuleType) -> None:
    script.init()
    loyal = {"tenure_months": 60, "monthly_charge": 30, "support_calls": 0, "late_payments": 0, "on_contract": 1}
    answer = call(script, body_of(ROW, loyal))
    leaving, staying = answer.document["predictions"]

    assert (answer.status_code, answer.document["model"]) == (200, "churn")
    assert (leaving["label"], staying["label"]) == (True, False)
    assert leaving["score"] == pytest.approx(0.936924, abs=1e-6)
    assert staying["score"] == pytest.approx(0.010876, abs=1e-6)


def test_a_request_before_init_is_an_error_of_the_server(script: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="before init"):
        script.run(raw_data=body_of(ROW), request_headers={})


def test_a_deployment_without_a_model_does_not_start(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))

    with pytest.raises(Exception, match=re.escape(f"{tmp_path} must hold one model.json and holds 0")):
        script.init()


def test_a_deployment_without_a_folder_does_not_start(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZUREML_MODEL_DIR")

    with pytest.raises(KeyError, match="AZUREML_MODEL_DIR"):
        script.init()


def test_each_request_is_one_line_of_json_without_what_was_sent(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script.init()
    call(script, body_of({**ROW, "tenure_months": 47}), {"X-Request-Id": "r-1"})
    call(script, body_of({**ROW, "monthly_charge": "4711", "card": "4242"}), {"x-request-id": "r" * 500})
    loaded, scored, refused = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    times = [line.pop("milliseconds") for line in (scored, refused)]

    assert loaded == {"event": "model loaded", "level": "INFO", "model": "churn", "features": 5}
    assert scored == {"event": "scored", "level": "INFO", "status": 200, "rows": 1, "request_id": "r-1"}
    assert refused == {"event": "refused", "level": "WARNING", "status": 400, "rows": 0, "request_id": "r" * 100}
    assert all(time >= 0 for time in times)


def test_init_twice_logs_once(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.init()
    script.init()
    capsys.readouterr()
    call(script, body_of(ROW))

    assert len(capsys.readouterr().out.splitlines()) == 1


BAD_BODIES = [
    ("", 400, "the request has no body; its Content-Type must be application/json"),
    ("{", 400, "the request must be JSON"),
    ("[" * 100_000, 400, "the request must be JSON"),
    ("1" * 5000, 400, "the request must be JSON"),
    ('{"inputs": [NaN]}', 400, "NaN is not JSON; numbers must be finite"),
    ('{"inputs": [-Infinity]}', 400, "-Infinity is not JSON; numbers must be finite"),
    ('{"inputs": [], "inputs": []}', 400, "the request has an object with the same key twice"),
    ("[]", 400, "the request must be an object with the key inputs and no other"),
    ("{}", 400, "the request must be an object with the key inputs and no other"),
    ('{"inputs": [1], "data": 1}', 400, "the request must be an object with the key inputs and no other"),
    ('{"inputs": []}', 400, "inputs must be a list of at least one row"),
    ('{"inputs": {}}', 400, "inputs must be a list of at least one row"),
    ('{"inputs": [null]}', 400, "inputs[0] must be an object"),
    (" " * (256 * 1024 + 1), 413, "the request must be at most 262144 bytes"),
    ('"' + "ä" * 140_000 + '"', 413, "the request must be at most 262144 bytes"),
    (json.dumps({"inputs": [{}] * 501}), 413, "inputs must have at most 500 rows"),
]


@pytest.mark.parametrize(("body", "status", "problem"), BAD_BODIES, ids=[case[0][:30] for case in BAD_BODIES])
def test_what_is_no_request_is_refused(script: ModuleType, body: str, status: int, problem: str) -> None:
    script.init()
    answer = call(script, body)

    assert (status, {"problems": [problem]}) == (answer.status_code, answer.document)


BAD_ROWS = [
    ({"tenure_months": None}, "inputs[1].tenure_months must be a number"),
    ({"tenure_months": "3"}, "inputs[1].tenure_months must be a number"),
    ({"tenure_months": True}, "inputs[1].tenure_months must be a number"),
    ({"tenure_months": [3]}, "inputs[1].tenure_months must be a number"),
    ({"tenure_months": -1}, "inputs[1].tenure_months must be from 0 to 600"),
    ({"tenure_months": 600.5}, "inputs[1].tenure_months must be from 0 to 600"),
    ({"tenure_months": 10**400}, "inputs[1].tenure_months must be from 0 to 600"),
    ({"age": 7}, "inputs[1] has 1 key(s) that are no feature"),
]


@pytest.mark.parametrize(("change", "problem"), BAD_ROWS, ids=[case[1] + str(case[0])[:30] for case in BAD_ROWS])
def test_a_bad_row_is_named(script: ModuleType, change: dict[str, Any], problem: str) -> None:
    script.init()
    answer = call(script, body_of(ROW, {**ROW, **change}))

    assert (answer.status_code, answer.document) == (400, {"problems": [problem]})


def test_a_number_that_overflows_is_out_of_range(script: ModuleType) -> None:
    script.init()
    answer = call(script, body_of(ROW).replace(": 90", ": 1e999"))

    assert answer.document == {"problems": ["inputs[0].monthly_charge must be from 0 to 10000"]}


def test_a_missing_feature_is_named(script: ModuleType) -> None:
    script.init()
    row = {key: value for key, value in ROW.items() if key != "on_contract"}

    assert call(script, body_of(row)).document == {"problems": ["inputs[0].on_contract is missing"]}


def test_an_answer_lists_some_of_many_problems(script: ModuleType) -> None:
    script.init()
    problems = call(script, body_of(*[{}] * 100)).document["problems"]

    assert (len(problems), problems[-1]) == (21, "and 480 more")


def test_the_bounds_of_a_request_are_inclusive(script: ModuleType) -> None:
    script.init()
    edge = {"tenure_months": 600, "monthly_charge": 10000.0, "support_calls": 0, "late_payments": 120, "on_contract": 1}
    body = body_of(*[edge] * 500)
    padded = body + " " * (256 * 1024 - len(body))

    assert len(padded.encode()) == scoring_request.MAX_BYTES
    assert len(call(script, padded).document["predictions"]) == scoring_request.MAX_ROWS


def model_with(**changes: Any) -> Any:
    feature = {"name": "x", "minimum": -1e6, "maximum": 1e6, "mean": 0, "deviation": 1, "coefficient": 1}
    return {"name": "m", "intercept": 0, "threshold": 0.5, "features": [feature], **changes}


def saved(folder: Path, document: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def test_a_model_is_found_in_the_folder_that_it_was_registered_with(tmp_path: Path) -> None:
    saved(tmp_path / "model", model_with())

    assert linear_model.load(tmp_path).name == "m"


def test_two_models_are_one_too_many(tmp_path: Path) -> None:
    saved(tmp_path / "a", model_with())
    saved(tmp_path / "b", model_with())

    with pytest.raises(linear_model.ModelError, match=r"must hold one model\.json and holds 2"):
        linear_model.load(tmp_path)


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0.5), (1, 1 / (1 + math.exp(-1))), (-1e6, 0), (1e6, 1), (-800, 0), (800, 1)]
)
def test_scores_are_probabilities_however_large_the_sum(tmp_path: Path, value: float, expected: float) -> None:
    model = linear_model.load(saved(tmp_path, model_with()))

    assert model.predict({"x": value}).score == pytest.approx(expected)


def test_the_label_is_true_from_the_threshold_on(tmp_path: Path) -> None:
    model = linear_model.load(saved(tmp_path, model_with()))

    assert [model.predict({"x": value}).label for value in (-1e-9, 0, 1e-9)] == [False, True, True]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ({}, "KeyError 'features'"),
        (model_with(features=[]), "there are no features"),
        (model_with(features=[model_with()["features"][0]] * 2), "two features have the same name"),
        (model_with(threshold=1), "threshold is 1.0 and must be between 0 and 1"),
        (model_with(threshold=True), "threshold must be a finite number"),
        (model_with(intercept=float("nan")), "intercept must be a finite number"),
        (model_with(name=""), "name must be text"),
        (model_with(features=[{**model_with()["features"][0], "deviation": 0}]), "deviation of x must be more than 0"),
        (
            model_with(features=[{**model_with()["features"][0], "minimum": 2e6}]),
            "minimum of x is more than its maximum",
        ),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, document: Any, problem: str) -> None:
    with pytest.raises(linear_model.ModelError, match=re.escape(problem)):
        linear_model.load(saved(tmp_path, document))


def test_the_image_has_every_module_and_the_pinned_server() -> None:
    dockerfile = (APP / "Dockerfile").read_text()
    copied = set(re.findall(r"\b\w+\.py\b", next(line for line in dockerfile.splitlines() if "/app/" in line)))
    pins = [line for line in (APP / "requirements.txt").read_text().splitlines() if not line.startswith("#")]

    assert copied == {path.name for path in APP.glob("*.py")}
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert re.search(r"^USER scorer$", dockerfile, re.MULTILINE)


def test_the_app_imports_the_server_the_standard_library_and_itself() -> None:
    own = {path.stem for path in APP.glob("*.py")}
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name or "").split(".")[0]
        for path in APP.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert imported - own - sys.stdlib_module_names == {"azureml_inference_server_http"}
