"""The admin API of a real gateway against its OpenAPI document: generated requests, and what comes back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.end_to_end.kit import Gateway, Upstream

TOKEN = "fuzzed-by-tests"
EXAMPLES = 4
"""Requests of each operation; most are writes that are validated as a whole."""

CONFIG = """
listen: "127.0.0.1:0"
workers: 2
admin:
  listen: "127.0.0.1:{port}"
  tokens: [{{name: fuzz, role: editor, hash: "sha256:{digest}"}}]
plugins: [{{name: cors, config: {{origins: [https://a.example.com]}}}}]
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: users}}
"""

ENDLESS = {"/events"}
"""A response that does not end."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
async def url(start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, state: None) -> str:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    running = start(CONFIG.format(port=unused_tcp_port, digest=digest, url=upstream.url))
    await running.ready()
    return f"http://127.0.0.1:{unused_tcp_port}/api/v1"


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


class Case(NamedTuple):
    """One request of an operation."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_generated_requests_get_what_the_document_says(url: str) -> None:
    document = await asyncio.to_thread(read, url, "openapi.json")
    operations = list(operations_of(document))

    for method, path, operation in operations:
        await asyncio.to_thread(fuzz, url, document, method, path, operation)

    assert len(operations) > 20
    assert (await asyncio.to_thread(read, url, "overview"))["state"] in {"ready", "degraded"}


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        if path not in ENDLESS:
            for method, operation in methods.items():
                yield method.upper(), path, operation


def fuzz(url: str, document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> None:
    """Send generated requests of an operation, most of them valid, and check each response."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(document, operation))
    def check(case: Case) -> None:
        status, kind, content = send(url, method, path, case)
        where = f"{method} {path} {case}: {status} {content[:500]!r}"
        assert status < 500, where
        response = operation["responses"].get(str(status))
        assert response is not None, where
        assert kind in response["content"], where
        schema = {**response["content"][kind]["schema"], "components": document["components"]}
        problems = [each.message for each in Draft202012Validator(schema).iter_errors(json.loads(content))]
        assert problems == [], where

    check()


def cases(document: Mapping[str, Any], operation: Mapping[str, Any]) -> st.SearchStrategy[Case]:
    parts: dict[str, dict[str, st.SearchStrategy[Any]]] = {"path": {}, "query": {}, "header": {}}
    optional: dict[str, dict[str, st.SearchStrategy[Any]]] = {"query": {}, "header": {}}
    for each in operation.get("parameters", ()):
        values = values_of(each["schema"], document)
        if each["in"] == "path":
            values = st.sampled_from(["users", "1", "cors"]) | TEXT.filter(lambda text: text not in {"", ".", ".."})
        elif each["in"] == "header":
            values = st.sampled_from(["*", '"0"', '"1"', "W/x", ""])
        (parts if each["required"] else optional)[each["in"]][each["name"]] = values
    body = st.none()
    if "requestBody" in operation:
        valid = values_of(operation["requestBody"]["content"]["application/json"]["schema"], document)
        body = st.one_of(valid, JSON)
    return st.builds(
        Case,
        st.fixed_dictionaries(parts["path"]),
        st.fixed_dictionaries(parts["query"], optional=optional["query"]),
        st.fixed_dictionaries(parts["header"], optional=optional["header"]),
        body,
    )


def values_of(schema: Mapping[str, Any], document: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return values of the types that a schema has; not every one is allowed, as patterns do not count."""
    if "$ref" in schema:
        return values_of(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "anyOf" in schema:
        return st.one_of([values_of(each, document) for each in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if "properties" in schema:
        required = schema.get("required", ())
        members = {name: values_of(each, document) for name, each in schema["properties"].items()}
        return st.fixed_dictionaries(
            {name: each for name, each in members.items() if name in required},
            optional={name: each for name, each in members.items() if name not in required},
        )
    if schema.get("type") == "array":
        return st.lists(values_of(schema.get("items", {}), document), max_size=3)
    plain: Mapping[Any, st.SearchStrategy[Any]] = {
        "integer": st.integers(schema.get("minimum", -5), schema.get("maximum", 5)),
        "boolean": st.booleans(),
        "string": TEXT,
        "object": st.dictionaries(TEXT, JSON, max_size=3),
        "null": st.none(),
    }
    return plain.get(schema.get("type"), JSON)


def send(url: str, method: str, path: str, case: Case) -> tuple[int, str, bytes]:
    for name, value in case.path.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    query = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in case.query.items()}
    target = f"{url}{path}{'?' if query else ''}{urlencode(query)}"
    content = None if case.body is None else json.dumps(case.body).encode()
    fields = {} if content is None else {"Content-Type": "application/json"}
    fields |= {"Authorization": f"Bearer {TOKEN}", **case.headers}
    request = urllib.request.Request(target, content, fields, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers.get_content_type(), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), error.read()


def read(url: str, path: str) -> Any:
    _, _, content = send(url, "GET", f"/{path}", Case({}, {}, {}, None))
    return json.loads(content)
