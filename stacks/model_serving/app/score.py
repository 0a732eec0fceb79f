"""The scoring script: the inference server of Azure Machine Learning calls `init` once and `run` for each request."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import linear_model
import scoring_request
from azureml_inference_server_http.api.aml_response import (
    AMLResponse,
)
from structured_log import configure, log

__all__ = ["init", "run"]

_model: linear_model.LinearModel | None = None


def init() -> None:
    """Load the model from the folder that the service names. An error ends the worker: the deployment is not ready.

    Raises:
        linear_model.ModelError: there is no model in the folder.
        KeyError: the service names no folder.
    """
    global _model
    configure()
    _model = linear_model.load(Path(os.environ["AZUREML_MODEL_DIR"]))
    log("model loaded", model=_model.name, features=len(_model.features))


def run(raw_data: str, request_headers: Mapping[str, str]) -> Any:
    """Return the answer to one request: 200 with a prediction for each row, or 4xx with what is wrong.

    The server gives the body as text. What is raised here becomes 500 without details for the caller.

    Raises:
        RuntimeError: `init` has not run.
    """
    if _model is None:
        raise RuntimeError("run was called before init")
    started = time.perf_counter()
    status, answer, rows = _answer(_model, raw_data)
    log(
        "scored" if status == 200 else "refused",
        level=logging.INFO if status == 200 else logging.WARNING,
        status=status,
        rows=rows,
        milliseconds=round(1000 * (time.perf_counter() - started), 3),
        # The endpoint's traffic log has it too.
        request_id=_request_id(request_headers),
    )
    return AMLResponse(answer, status, json_str=True)


def _answer(model: linear_model.LinearModel, body: str) -> tuple[int, dict[str, Any], int]:
    try:
        rows = scoring_request.parse(body, model.features)
    except scoring_request.RequestError as refused:
        return refused.status, {"problems": refused.problems}, 0
    predictions = [model.predict(row) for row in rows]
    entries = [{"score": prediction.score, "label": prediction.label} for prediction in predictions]
    return 200, {"model": model.name, "predictions": entries}, len(rows)


def _request_id(headers: Mapping[str, str]) -> str | None:
    """Return the request's id, which is the caller's text if the caller gave one, in a length that logs can take."""
    found = next((value for name, value in headers.items() if name.casefold() == "x-request-id"), None)
    return None if found is None else found[:100]
