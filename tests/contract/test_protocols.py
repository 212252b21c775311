"""Tests that send requests to a gateway send them over HTTP/1 and HTTP/2, or say why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.repository import ROOT, tree_of

FOLDERS = ("tests/end_to_end", "tests/examples", "tests/faults", "tests/integration")

CONNECTS = {
    "ClientSession", "Gateway", "HTTPConnection", "HttpClient", "RunningGateway", "UnixConnector", "Wire",
    "create_connection", "create_subprocess_exec", "gateway_before", "httpx", "open_connection", "open_unix_connection",
}  # fmt: skip
"""Calls that start a gateway or connect to one past the fixtures by which clients speak both protocols."""

_ADMIN = "the admin listener speaks HTTP/1 only; requests of clients are sent by `get`, which speaks both"
HTTP1_ONLY = {
    "tests/end_to_end/test_admin_api.py": _ADMIN,
    "tests/end_to_end/test_check_and_run.py": "no request is sent",
    "tests/end_to_end/test_dashboards.py": "asks Prometheus; requests of clients are sent by `get`, which speaks both",
    "tests/end_to_end/test_follow.py": "starts a command that prints; requests are sent by `get`, which speaks both",
    "tests/end_to_end/test_live_events.py": _ADMIN,
    "tests/end_to_end/test_listeners.py": "curl speaks both in turn",
    "tests/end_to_end/test_metrics.py": _ADMIN,
    "tests/end_to_end/test_plugin_runtime.py": _ADMIN,
    "tests/end_to_end/test_rollback.py": _ADMIN,
    "tests/end_to_end/test_sources.py": "to gateways that it starts itself it sends requests by `get`, or none",
    "tests/end_to_end/test_sources_away.py": "connects to registries; requests are sent by `get`, which speaks both",
    "tests/end_to_end/test_start_and_stop.py": "to a gateway that it starts itself it sends no request",
    "tests/end_to_end/test_tls.py": "about handshakes, before any protocol; test_listeners has both over TLS",
    "tests/examples/extension/test_certificates_folder.py": "about handshakes, before any protocol",
    "tests/examples/test_internal.py": "gRPC is HTTP/2; the other test is about handshakes, before any protocol",
    "tests/examples/test_microservices.py": "asks the admin listener; requests of clients are sent by `Example.client`",
    "tests/integration/test_client_wire.py": "the wire of HTTP/1; that of HTTP/2 is in tests/core/proxy/downstream",
    "tests/integration/test_upstream_wire.py": "the wire of HTTP/1; that of HTTP/2 is in tests/core/proxy/upstream",
}
"""Modules whose own clients speak HTTP/1 alone, with the reason."""


def called(tree: ast.Module) -> set[str]:
    """Return the names of what a module calls, and of that whose methods it calls."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    functions = [each.func for each in calls if not any(keyword.arg == "to_clients" for keyword in each.keywords)]
    return {part for each in functions for part in ast.unparse(each).split(".") if part.isidentifier()}


def http1_only() -> Iterator[str]:
    for path in sorted(each for folder in FOLDERS for each in (ROOT / folder).rglob("test_*.py")):
        speaks_http2 = "tests.protocols" in path.read_text() or path.name.startswith(("test_http2", "test_grpc"))
        if not speaks_http2 and called(tree_of(path)) & CONNECTS:
            yield str(path.relative_to(ROOT))


def test_a_module_whose_clients_speak_http_1_alone_says_why() -> None:
    assert list(http1_only()) == sorted(HTTP1_ONLY)


def unexplained(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)) if "one_protocol" in path.read_text() else ():
        if isinstance(node, ast.Attribute) and node.attr == "one_protocol":
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


def explained(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)) if "one_protocol" in path.read_text() else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "one_protocol":
            reasons = [each.value for each in node.keywords if each.arg == "reason"]
            if reasons and isinstance(reasons[0], ast.Constant) and reasons[0].value:
                yield f"{path.relative_to(ROOT)}:{node.func.lineno}"


def test_a_test_of_one_protocol_says_why() -> None:
    marks = [each for path in sorted((ROOT / "tests").rglob("test_*.py")) for each in unexplained(path)]
    reasons = {each for path in sorted((ROOT / "tests").rglob("test_*.py")) for each in explained(path)}

    assert marks
    assert [each for each in marks if each not in reasons] == []
