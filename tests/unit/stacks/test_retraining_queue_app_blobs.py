"""Blobs over HTTP, with the real client against a server that knows two verbs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from tests.unit.stacks.loading import load

blob_store, errors = load("retraining_queue", "blob_store", "errors")


class Account(ThreadingHTTPServer):
    """Containers with blobs, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.containers = {"/account/c"}
        self.types: dict[str, str] = {}
        self.failing = False

    def container(self, name: str = "c") -> ContainerClient:
        url = f"http://127.0.0.1:{self.server_port}/account/{name}"
        return ContainerClient.from_container_url(url, retry_total=0)


class Handler(BaseHTTPRequestHandler):
    server: Account
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        content, path = self.rfile.read(int(self.headers["Content-Length"])), urlsplit(self.path).path
        if self.headers["If-None-Match"] == "*" and path in self.server.blobs:
            return self.answer(409, error="BlobAlreadyExists")
        self.server.blobs[path] = content
        self.server.types[path] = self.headers["x-ms-blob-content-type"]
        return self.answer(201)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if self.server.failing:
            return self.answer(403, error="AuthorizationFailure")
        if path.rpartition("/")[0].removesuffix("/churn") not in self.server.containers:
            return self.answer(404, error="ContainerNotFound")
        if path not in self.server.blobs:
            return self.answer(404, error="BlobNotFound")
        return self.answer(206, self.server.blobs[path])

    def answer(self, status: int, content: bytes = b"", error: str | None = None) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(content)))
        if error is not None:
            self.send_header("x-ms-error-code", error)
        if status == 206:
            self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_dataset_is_read_without_its_byte_order_mark(account: Account) -> None:
    account.blobs["/account/c/churn/a.csv"] = "\ufeffx,y\n1,ü\n".encode()
    with account.container() as container:
        assert blob_store.BlobDatasets(container).read("churn/a.csv") == "x,y\n1,ü\n"


def test_a_missing_dataset_is_said(account: Account) -> None:
    with account.container() as container, pytest.raises(errors.DatasetNotFoundError) as caught:
        blob_store.BlobDatasets(container).read("churn/a.csv")

    assert str(caught.value) == "there is no dataset churn/a.csv"


def test_a_dataset_that_is_no_text_is_refused(account: Account) -> None:
    account.blobs["/account/c/churn/a.csv"] = b"x,y\n\xff"
    with account.container() as container, pytest.raises(errors.UnusableDatasetError) as caught:
        blob_store.BlobDatasets(container).read("churn/a.csv")

    assert str(caught.value) == "churn/a.csv is not text in UTF-8"


def test_a_large_dataset_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_store, "MAX_DATASET_BYTES", 7)
    account.blobs |= {"/account/c/churn/a.csv": b"1234567", "/account/c/churn/b.csv": b"12345678"}
    with account.container() as container:
        datasets = blob_store.BlobDatasets(container)

        assert datasets.read("churn/a.csv") == "1234567"
        with pytest.raises(errors.UnusableDatasetError, match=r"churn/b\.csv has more than 7 bytes"):
            datasets.read("churn/b.csv")


def test_what_is_wrong_with_the_worker_is_not_blamed_on_the_request(account: Account) -> None:
    with account.container("other") as container:
        with pytest.raises(HttpResponseError):
            blob_store.BlobDatasets(container).read("churn/a.csv")
        with pytest.raises(HttpResponseError):
            blob_store.BlobLedger(container).find("r1")
    account.failing = True
    with account.container() as container, pytest.raises(HttpResponseError):
        blob_store.BlobDatasets(container).read("churn/a.csv")


def test_the_first_model_stays(account: Account) -> None:
    with account.container() as container:
        models = blob_store.BlobModels(container)
        models.save("churn/r1.json", b"first")
        models.save("churn/r1.json", b"second")

    assert account.blobs == {"/account/c/churn/r1.json": b"first"}
    assert account.types == {"/account/c/churn/r1.json": "application/json"}


def test_a_request_is_noted_once(account: Account) -> None:
    with account.container() as container:
        ledger = blob_store.BlobLedger(container)

        assert ledger.find("r1") is None
        assert ledger.add("r1", {"model": "churn/r1.json"}) is True
        assert ledger.add("r1", {"model": "other"}) is False
        assert ledger.find("r1") == {"model": "churn/r1.json"}
        assert ledger.find("r2") is None
