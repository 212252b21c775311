"""The admin API of a real gateway against its OpenAPI document: what schemathesis sends over the control socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode, HookContext
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import Gateway, Upstream

URL = "http://gateway/api/v1"
EXAMPLES = {GenerationMode.POSITIVE: 3, GenerationMode.NEGATIVE: 2}
"""Requests of each operation that follow its schemas, and that do not; most writes are validated as a whole."""
NAMES = ("users", "1", "cors", "GET /users", "a/b:drain")
REVISIONS = ("*", '"0"', '"1"', "W/x", "")
EVENTS = "/events"
"""The operation whose response does not end."""

CONFIG = """
listen: "127.0.0.1:0"
plugins: [{{name: cors, config: {{origins: [https://a.example.com]}}}}]
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: users}}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_generated_requests_get_what_the_document_says(
    start: Callable[..., Gateway], upstream: Upstream, api: Api, tmp_path: Path
) -> None:
    running = start(CONFIG.format(url=upstream.url))
    await running.ready()
    _, document, _ = await api("GET", "openapi.json")
    schema = schemathesis.openapi.from_dict(document)
    add_what_is_there(schema)
    (control,) = (tmp_path / "runtime" / "gateway").glob("*.sock")

    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    with requests.Session() as session:
        session.mount("http://", UnixAdapter(control))
        for operation in operations:
            await asyncio.to_thread(fuzz, operation, session)

    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    assert (await api("GET", "overview"))[1]["state"] in {"ready", "degraded"}
    await running.stops()


def add_what_is_there(schema: BaseSchema) -> None:
    """Have requests use names and revisions that the gateway has, beside those that are generated."""

    @schema.hook
    def before_generate_path_parameters(context: HookContext, strategy: st.SearchStrategy[Any]) -> Any:
        assert context.operation is not None
        names = [each.name for each in context.operation.path_parameters]
        return st.fixed_dictionaries({name: st.sampled_from(NAMES) for name in names}) | strategy

    @schema.hook
    def before_generate_headers(context: HookContext, strategy: st.SearchStrategy[Any]) -> Any:
        held = st.fixed_dictionaries({"If-Match": st.sampled_from(REVISIONS)})
        return held | st.just({"If-None-Match": "*"}) | strategy


def fuzz(operation: APIOperation[Any, Any, Any, Any], session: requests.Session) -> None:
    """Send generated requests of an operation, and check each response."""
    for mode, number in EXAMPLES.items():

        @settings(
            max_examples=number,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Case[Any]) -> None:
            if operation.path == EVENTS:
                check_stream(case, session)
            else:
                # What holds for the gateway as it is, no document can say: revisions, names, the end of a duration.
                case.call_and_validate(URL, session, excluded_checks=[positive_data_acceptance])

        check()


def check_stream(case: Case[Any], session: requests.Session) -> None:
    """Read the begin of a stream, or check the refusal."""
    with session.request(**case.as_transport_kwargs(URL), stream=True) as response:
        if response.status_code == 200:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            assert response.raw.readline().startswith(b"id: ")
            assert response.raw.readline() == b"event: hello\n"
        else:
            case.validate_response(response, excluded_checks=[positive_data_acceptance])


class UnixAdapter(HTTPAdapter):
    """Sends the requests of a session over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._pool = UnixPool(path)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool


class UnixPool(HTTPConnectionPool):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway")
        self._path = path

    def _new_conn(self) -> UnixConnection:
        return UnixConnection(self._path)


class UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        # The path may be longer than the address of a socket.
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)
