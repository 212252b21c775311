"""The admin API of real gateways: what is in force is read, written, and kept, by two workers and by one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get, get_over_both

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: {workers}
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - id: users
    path_prefix: /users
    target: users
    plugins: [{{name: headers, config: {{request: {{set: {{x-a: secret-text}}}}}}}}]
"""
NEW = {"If-None-Match": "*"}
PLUGINS = [{"name": "headers", "config": {"response": {"set": {"x-b": "secret-text"}}}}]


def config_of(upstream: Upstream, port: int, workers: int) -> str:
    return CONFIG.format(url=upstream.url, admin=port, workers=workers)


def route(name: str, **more: Any) -> dict[str, Any]:
    return {"path_prefix": f"/{name}", "target": "users", **more}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_route_is_made_changed_and_removed_with_the_revision_that_was_read(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, workers: int
) -> None:
    running = start(config_of(upstream, unused_tcp_port, workers))
    url = await running.ready()

    status, made, headers = await api("PUT", "routes/orders", route("orders"), NEW)
    assert (status, made["value"]) == (201, {"id": "orders", **route("orders")})
    for _ in range(4):
        assert (await get(url, "/orders/1"))[0] == 200
    status, read, read_headers = await api("GET", "routes/orders")
    assert (read["owner"], read["revision"], read_headers["ETag"]) == ("api", made["revision"], headers["ETag"])

    assert (await api("PUT", "routes/orders", route("other")))[0] == 428
    assert (await api("PUT", "routes/orders", route("other"), NEW))[0] == 412
    status, changed, new_headers = await api(
        "PATCH", "routes/orders", {"path_prefix": "/sales"}, {"If-Match": headers["ETag"]}
    )
    assert (status, changed["value"]["path_prefix"]) == (200, "/sales")
    assert ((await get(url, "/orders/1"))[0], (await get(url, "/sales/1"))[0]) == (404, 200)
    assert (await api("DELETE", "routes/orders", headers={"If-Match": headers["ETag"]}))[0] == 412

    assert (await api("DELETE", "routes/orders", headers={"If-Match": new_headers["ETag"]}))[0] == 200
    assert (await get(url, "/sales/1"))[0] == 404
    assert (await api("GET", "routes/orders"))[0] == 404
    await running.stops()


async def test_a_bad_write_changes_nothing_and_says_what_check_says(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(config_of(upstream, unused_tcp_port, 2))
    url = await running.ready()

    status, problem, headers = await api("PUT", "routes/orders", route("orders", targt="x"), NEW)

    assert (status, problem["code"]) == (422, "rejected")
    assert headers["Content-Type"].startswith("application/problem+json")
    (found,) = problem["problems"]
    assert (found["key"], found["line"] > 0, found["severity"]) == ("routes[1].targt", True, "error")
    assert "^" in problem["report"]
    assert (await api("GET", "config/document"))[1] == {"revision": 0, "routes": [], "upstreams": []}
    assert (await get_over_both(url, "/orders/1"))[0] == 404

    status, problem, _ = await api("PUT", "routes/env", {"path": "/${HOME}", "target": "users"}, NEW)
    assert status == 422
    await running.stops()


async def test_variables_and_files_are_for_the_apis_document_only_if_they_are_allowed(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "greeting").write_text("hello")
    monkeypatch.setenv("GREETING", "good day")
    plain = config_of(upstream, unused_tcp_port, 2)
    running = start(plain)
    url = await running.ready()

    def respond(body: str) -> dict[str, Any]:
        return {"path": "/greeting", "respond": {"body": body}}

    async def written(body: str) -> tuple[int, str]:
        status, problem, _ = await api("PUT", "routes/greeting", respond(body), {"If-None-Match": "*"})
        return status, problem["problems"][0]["code"] if status == 422 else ""

    assert await written("${GREETING}") == (422, "substitution.not-allowed")
    await running.rewrites(plain.replace("admin: {", "admin: {allow: [env], "))
    assert await written(f"${{file:{tmp_path}/greeting}}") == (422, "substitution.not-allowed")
    assert await written("http://${GREETING}") == (422, "substitution.not-allowed")
    assert await written("${NONE:-http://127.0.0.1}") == (422, "substitution.not-allowed")
    assert await written("${GREETING}") == (201, "")
    assert await get(url, "/greeting") == (200, "good day")
    assert (await api("GET", "config/document"))[1]["routes"][0]["respond"]["body"] != "good day"
    assert (await api("DELETE", "routes/greeting", headers={"If-Match": "*"}))[0] == 200

    await running.rewrites(plain.replace("admin: {", "admin: {allow: [files], "))
    assert await written("${GREETING}") == (422, "substitution.not-allowed")
    assert await written(f"${{file:{tmp_path}/greeting}}") == (201, "")
    assert await get(url, "/greeting") == (200, "hello")
    await running.stops()


async def test_what_files_have_is_not_written_and_the_admin_listener_is_no_target(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, tmp_path: Path
) -> None:
    running = start(config_of(upstream, unused_tcp_port, 1))
    await running.ready()

    status, problem, _ = await api("PUT", "routes/users", route("users"), NEW)
    assert (status, problem["code"]) == (409, "owned-by-file")
    assert "gateway.yaml:7" in problem["place"]
    (control,) = (tmp_path / "runtime" / "gateway").glob("*.sock")
    for target in (f"http://127.0.0.1:{unused_tcp_port}", f"http://localhost:{unused_tcp_port}", f"unix:{control}"):
        status, problem, _ = await api("PUT", "routes/admin", {"path": "/x", "target": target}, NEW)
        assert (status, problem["code"]) == (422, "admin-target")
        upstreams = {"endpoints": [{"url": target}]}
        assert (await api("PUT", "upstreams/admin", upstreams, NEW))[1]["code"] == "admin-target"
    await running.stops()


async def test_two_writers_do_not_overwrite_each_other(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(config_of(upstream, unused_tcp_port, 2))
    await running.ready()
    _, _, headers = await api("PUT", "routes/orders", route("orders"), NEW)

    replies = await asyncio.gather(
        *(api("PUT", "routes/orders", route(f"orders{n}"), {"If-Match": headers["ETag"]}) for n in range(3))
    )

    assert sorted(status for status, _, _ in replies) == [200, 412, 412]
    await running.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_document_is_there_after_a_kill_and_a_new_program(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, workers: int, tmp_path: Path
) -> None:
    running = start(config_of(upstream, unused_tcp_port, workers))
    await running.ready()
    assert (await api("PUT", "upstreams/more", {"endpoints": [{"url": upstream.url}]}, NEW))[0] == 201
    assert (await api("PUT", "routes/orders", route("orders", target="more"), NEW))[0] == 201

    running.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(running.process.wait)
    for file in (tmp_path / "runtime" / "gateway").glob("*.sock"):
        file.unlink()
    again = start("", path=tmp_path / "gateway.yaml")
    url = await again.ready()

    assert (await get(url, "/orders/1"))[0] == 200
    os.kill(again.process.pid, signal.SIGHUP)
    assert (await api("POST", "reload", {}))[1]["result"] == "ok"
    assert (await get(url, "/orders/1"))[0] == 200
    _, document, _ = await api("GET", "config/document")
    assert ([each["id"] for each in document["routes"]], document["revision"]) == (["orders"], 2)
    await again.stops()


async def test_a_dry_run_changes_nothing_and_names_what_would_end(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(config_of(upstream, unused_tcp_port, 2))
    url = await running.ready()
    content = {
        "upstreams": [{"name": "more", "endpoints": [{"url": upstream.url}]}],
        "routes": [{"id": "orders", **route("orders", plugins=PLUGINS)}],
    }
    status, applied, headers = await api("POST", "config:apply", content, {"If-Match": '"0"'})
    assert (status, applied["revision"]) == (200, 1)

    status, tried, _ = await api("POST", "config:apply?dry_run=true", {}, {"If-Match": headers["ETag"]})

    assert status == 200
    losses = tried["outcome"]["losses"]
    assert {"kind": "connections", "upstream": "more", "endpoint": upstream.url, "active_requests": 0} in losses
    assert [each["binding"] for each in losses if each["kind"] == "plugin_state"] == ["orders/headers"]
    assert (await get(url, "/orders/1"))[0] == 200
    assert (await api("POST", "config:apply", {}, {"If-Match": '"0"'}))[0] == 412
    assert (await api("POST", "config:validate", {"routes": [{"id": "x", "path": "/x"}]}))[0] == 422
    assert (await api("POST", "config:apply", {}, {"If-Match": headers["ETag"]}))[0] == 200
    assert (await get(url, "/orders/1"))[0] == 404
    await running.stops()


async def test_secrets_are_written_and_never_read(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(config_of(upstream, unused_tcp_port, 2))
    url = await running.ready()
    status, made, headers = await api("PUT", "routes/orders", route("orders", plugins=PLUGINS), NEW)
    assert status == 201

    pages = ["routes", "routes/orders", "routes/users", "upstreams", "plugins", "config", "config/document", "overview"]
    for path in pages:
        status, content, _ = await api("GET", path)
        assert status == 200
        assert "secret-text" not in json.dumps(content)

    # What was read can be written: what is hidden stays as it is.
    value = {**made["value"], "path_prefix": "/sales"}
    assert (await api("PUT", "routes/orders", value, {"If-Match": headers["ETag"]}))[0] == 200
    for _ in range(2):
        assert b"x-b: secret-text" in await raw(url, "/sales")
    await running.stops()


async def raw(url: str, path: str) -> bytes:
    host, _, port = url.rpartition("/")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    try:
        return (await asyncio.wait_for(reader.read(), PATIENCE)).lower()
    finally:
        writer.close()


async def test_nothing_is_written_without_a_state_directory(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    running = start(config_of(upstream, unused_tcp_port, 1), "--state", str(tmp_path / "file" / "state"))
    url = await running.ready()

    status, problem, _ = await api("PUT", "routes/orders", route("orders"), NEW)

    assert (status, problem["code"]) == (503, "state-not-writable")
    assert "--state" in problem["detail"]
    assert (await get_over_both(url, "/orders/1"))[0] == 404
    await running.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_route_has_the_time_of_its_last_request_from_the_start_of_the_gateway_on(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, workers: int
) -> None:
    running = start(config_of(upstream, unused_tcp_port, workers))
    url = await running.ready()
    assert (await api("PUT", "routes/unused", route("unused"), NEW))[0] == 201
    assert (await api("GET", "routes/users"))[1]["last_used"] is None

    assert (await get(url, "/users/1"))[0] == 200
    while (found := (await api("GET", "routes/users"))[1]["last_used"]) is None:
        pass

    assert (await get(url, "/users/1"))[0] == 200
    while (later := (await api("GET", "routes/users"))[1]["last_used"]) == found:
        pass
    assert later > found
    _, listed, _ = await api("GET", "routes")
    assert {each["id"]: each["last_used"] for each in listed["items"]} == {"users": later, "unused": None}
    await running.stops()
