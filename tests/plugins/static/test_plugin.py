"""What clients get, from a real gateway."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_compress import Compress
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import PluginHarness, eventually, one_route
from gateway_plugin_static import Static, plugin
from gateway_plugin_static.beneath import open_beneath
from gateway_plugin_static.body import ChangedError, OpenFile

from tests.plugins.static.descriptors import open_below

SECRET = "a secret of more than thirty-two characters"
OLD = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
BIG = os.urandom(600_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("home")
    (root / "sub" / "index.html").write_text("sub")
    (root / "app.js").write_text("plain script")
    (root / "app.js.br").write_bytes(b"small")
    (root / "a;b.txt").write_text("semicolon")
    (root / "404.html").write_text("no such page")
    (root / "big.bin").write_bytes(BIG)
    for path in root.rglob("*"):
        os.utime(path, (OLD, OLD))
    return root


def static(root: Path, **config: Any) -> dict[str, Any]:
    return {"name": "static", "config": {"root": str(root), **config}}


def files(root: Path, **config: Any) -> dict[str, Any]:
    return {"routes": [{"id": "files", "path_prefix": "/", "plugins": [static(root, **config)]}]}


def test_files_are_sent_with_their_validators_and_types(gateway: Any, root: Path) -> None:
    running = gateway(files(root), plugins=[Static])

    response = running.get("/app.js")

    assert (response.status, response.body) == (200, b"plain script")
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Last-Modified"] == DATE
    assert response.headers["ETag"] == f'"{OLD * 10**9:x}-c"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert (running.get("/").body, running.get("/big.bin").body) == (b"home", BIG)
    assert running.get("/a;b.txt").body == running.get("/a%3Bb.txt").body == b"semicolon"


def test_head_has_the_same_fields_and_no_body(gateway: Any, root: Path) -> None:
    running = gateway(files(root), plugins=[Static])

    for path, length in (("/app.js", "12"), ("/big.bin", "600000")):
        head, get = running.request("HEAD", path), running.get(path)
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", length)
        names = ("ETag", "Last-Modified", "Content-Type", "Content-Length", "Accept-Ranges")
        assert [head.headers.get(name) for name in names] == [get.headers.get(name) for name in names]
    assert running.request("HEAD", "/none").status == 404
    eventually(lambda: open_below(root) == [])


def test_conditions_spare_the_body(gateway: Any, root: Path) -> None:
    running = gateway(files(root, cache=[{"files": ["*.js"], "max_age": "1h"}]), plugins=[Static])
    etag = running.get("/app.js").headers["ETag"]

    known = running.get("/app.js", headers={"If-None-Match": f'"x", W/{etag}'})
    failed = running.get("/app.js", headers={"If-Match": '"x"'})
    dated = running.get("/app.js", headers={"If-Modified-Since": DATE})

    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", etag)
    assert known.headers["Cache-Control"] == "max-age=3600"
    assert "Content-Type" not in known.headers
    assert (failed.status, dated.status) == (412, 304)


def test_ranges_are_parts_of_the_file(gateway: Any, root: Path) -> None:
    running = gateway(files(root), plugins=[Static])
    etag = running.get("/big.bin").headers["ETag"]

    def get(value: str, **more: str) -> Any:
        return running.get("/big.bin", headers={"Range": value, **more})

    one, last = get("bytes=100-299999"), get("bytes=-10")
    assert (one.status, one.body, one.headers["Content-Range"]) == (206, BIG[100:300_000], "bytes 100-299999/600000")
    assert (last.status, last.body) == (206, BIG[-10:])
    none = get("bytes=600000-")
    assert (none.status, none.headers["Content-Range"]) == (416, "bytes */600000")
    assert get("bytes=0-1", **{"If-Range": etag}).status == 206
    assert get("bytes=0-1", **{"If-Range": DATE}).status == 206
    assert get("bytes=0-1", **{"If-Range": '"x"'}).body == BIG
    assert get("bytes=" + ",".join(f"{start}-{start}" for start in range(11))).body == BIG
    assert running.request("HEAD", "/big.bin", headers={"Range": "bytes=0-1"}).status == 200
    assert running.get("/app.js", headers={"Range": "bytes=2-4"}).body == b"ain"


def test_several_ranges_are_one_multipart_body(gateway: Any, root: Path) -> None:
    running = gateway(files(root), plugins=[Static])

    response = running.get("/big.bin", headers={"Range": "bytes=0-2,200000-499999"})

    kind, _, boundary = response.headers["Content-Type"].partition("; boundary=")
    assert (response.status, kind) == (206, "multipart/byteranges")
    parts = response.body.split(f"--{boundary}".encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    bodies = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts[1:-1]]
    assert bodies == [BIG[:3], BIG[200_000:500_000]]
    assert response.headers["Content-Length"] == str(len(response.body))
    assert "Content-Range" not in response.headers


def test_ranges_can_be_switched_off(gateway: Any, root: Path) -> None:
    running = gateway(files(root, max_ranges=0), plugins=[Static])

    response = running.get("/app.js", headers={"Range": "bytes=0-1"})

    assert response.status == 200
    assert "Accept-Ranges" not in response.headers


def test_other_methods_get_405_with_allow(gateway: Any, root: Path) -> None:
    running = gateway(files(root), plugins=[Static])

    responses = [running.request(method, "/app.js") for method in ("POST", "PUT", "DELETE", "OPTIONS")]

    assert {(response.status, response.headers["Allow"]) for response in responses} == {(405, "GET, HEAD")}


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/sub", "/sub/"),
        ("/sub?a=1&b=//x", "/sub/?a=1&b=//x"),
        ("//sub", "/sub/"),
        ("/%73ub", "/%73ub/"),
    ],
)
def test_a_directory_is_redirected_to_with_a_slash_and_never_to_another_host(
    gateway: Any, root: Path, path: str, location: str
) -> None:
    running = gateway(files(root), plugins=[Static])

    response = running.get(path)

    assert (response.status, response.headers["Location"]) == (308, location)
    assert running.get("/sub/").body == b"sub"


def test_a_stripped_prefix_is_no_part_of_the_name(gateway: Any, root: Path) -> None:
    binding = static(root)
    document = {
        "routes": [
            {"id": "files", "path_prefix": "/files", "strip_path": True, "plugins": [binding]},
            {"id": "exact", "path": "/home", "rewrite": {"template": "/"}, "plugins": [binding]},
        ]
    }
    running = gateway(document, plugins=[Static])

    assert running.get("/files/app.js").body == b"plain script"
    assert running.get("/files/sub").headers["Location"] == "/files/sub/"
    assert running.get("/files").headers["Location"] == "/files/"
    assert running.get("/files/").body == running.get("/home").body == b"home"


def test_a_page_that_there_is_not_is_the_application(gateway: Any, root: Path) -> None:
    running = gateway(files(root, fallback="index.html", not_found="404.html"), plugins=[Static])
    html = {"Accept": "text/html,*/*"}

    found = [running.get(path, headers=fields) for path, fields in (
        ("/orders/7", {}), ("/users/jane.doe", html), ("/gone.js", {"Accept": "*/*"}), ("/.git/config", {}),
    )]  # fmt: skip

    assert [(response.status, response.body) for response in found] == [
        (200, b"home"), (200, b"home"), (404, b"no such page"), (404, b"no such page"),
    ]  # fmt: skip
    assert [response.headers.get("Vary") for response in found] == [None, "Accept", "Accept", None]
    assert found[2].headers["Content-Type"] == "text/html; charset=utf-8"
    assert "ETag" not in found[2].headers


def test_what_is_no_file_can_go_on_to_the_target(gateway: Any, upstream: Any, root: Path) -> None:
    (root / "closed").write_text("x")
    running = gateway(one_route(upstream.url, static(root, fallthrough=True)), plugins=[Static])

    assert running.get("/app.js").body == b"plain script"
    for method, path in (("GET", "/api"), ("POST", "/app.js"), ("GET", "/.git/x")):
        running.request(method, path)
    assert [(request.method, request.target) for request in upstream.requests] == [
        ("GET", "/api"), ("POST", "/app.js"), ("GET", "/.git/x"),
    ]  # fmt: skip


def test_a_directory_is_listed_only_if_that_is_switched_on(gateway: Any, root: Path) -> None:
    (root / "sub" / "index.html").rename(root / "sub" / "<i>.txt")

    listed = gateway(files(root, listing=True), plugins=[Static])
    page, data = listed.get("/sub/"), listed.get("/sub/", headers={"Accept": "application/json"})

    assert "<i>.txt" not in page.text
    assert 'href="./%3Ci%3E.txt"' in page.text
    assert [entry["name"] for entry in data.json()] == ["<i>.txt"]
    assert (page.headers["Vary"], page.headers["Cache-Control"]) == ("Accept", "no-cache")
    assert gateway(files(root), plugins=[Static]).get("/sub/").status == 404


def test_a_variant_is_sent_to_clients_that_accept_it(gateway: Any, root: Path) -> None:
    running = gateway(files(root, precompressed=["br", "gzip"]), plugins=[Static])

    plain, small = running.get("/app.js"), running.get("/app.js", headers={"Accept-Encoding": "gzip, br"})

    assert (plain.body, plain.headers["Vary"]) == (b"plain script", "Accept-Encoding")
    assert (small.body, small.headers["Vary"]) == (b"small", "Accept-Encoding")
    assert small.headers["Content-Encoding"] == "br"
    assert small.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert small.headers["ETag"] != plain.headers["ETag"]
    fields = {"Accept-Encoding": "br", "If-None-Match": small.headers["ETag"]}
    known = running.get("/app.js", headers=fields)
    assert (known.status, known.headers["Vary"]) == (304, "Accept-Encoding")
    part = running.get("/app.js", headers={"Accept-Encoding": "br", "Range": "bytes=1-2"})
    assert (part.status, part.body, part.headers["Content-Encoding"]) == (206, b"ma", "br")


def test_a_file_that_may_not_be_read_is_not_there_and_is_counted(gateway: Any, root: Path, monkeypatch: Any) -> None:
    def refuse(*arguments: Any, **more: Any) -> Any:
        raise PermissionError(13, "Permission denied", "/srv/inside")

    running = gateway(files(root), plugins=[Static])
    # The tests may run as root, to whom nothing is forbidden.
    monkeypatch.setattr("gateway_plugin_static.lookup.open_beneath", refuse)

    responses = [running.get("/app.js") for _ in range(2)]

    assert [response.status for response in responses] == [404, 404]
    assert b"srv" not in responses[0].body
    assert 'gateway_static_failures_total{binding="static",kind="permission",route="files"} 2' in running.metrics()
    assert sum("may not be read" in record.getMessage() for record in running.logs) == 1


def test_a_root_that_is_gone_is_a_failure_of_the_plugin(gateway: Any, root: Path) -> None:
    running = gateway(files(root), plugins=[Static])
    root.rename(root.parent / "elsewhere")

    assert running.get("/app.js").status == 500
    (root.parent / "elsewhere").rename(root)
    assert running.get("/app.js").status == 200


def test_a_file_that_changes_is_cut_off_over_both_protocols(gateway: Any, root: Path, monkeypatch: Any) -> None:
    checks = iter([None, None])

    def change_at_last(file: OpenFile) -> None:
        if next(checks, file) is file:
            raise ChangedError

    running = gateway(files(root), plugins=[Static])
    monkeypatch.setattr(OpenFile, "_check", change_at_last)

    with pytest.raises((http.client.HTTPException, OSError)):
        running.get("/big.bin")

    assert 'kind="changed",route="files"} 1' in running.metrics()
    monkeypatch.undo()
    assert running.get("/big.bin").body == BIG


@pytest.mark.in_turn
def test_a_file_that_shrinks_while_it_is_sent_cuts_the_connection(gateway: Any, root: Path) -> None:
    size = 64 * 1024 * 1024
    with (root / "huge").open("wb") as file:
        file.truncate(size)
    running = gateway(files(root), plugins=[Static])
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        client.sendall(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
        received = len(client.recv(1000))
        with (root / "huge").open("r+b") as file:
            file.truncate(1000)
        try:
            while piece := client.recv(1 << 20):
                received += len(piece)
        except ConnectionResetError:
            pass

    assert received < size
    assert 'kind="changed",route="files"} 1' in running.metrics()
    assert (
        'gateway_plugin_errors_total{binding="static",phase="gateway_pre_proxy",plugin="static"} 0' in running.metrics()
    )
    eventually(lambda: open_below(root) == [])


@pytest.mark.in_turn
def test_a_client_that_leaves_leaves_no_file_open(gateway: Any, root: Path) -> None:
    with (root / "huge").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    running = gateway(files(root), plugins=[Static])
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        client.sendall(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000)
        assert open_below(root) != []

    eventually(lambda: open_below(root) == [])


@pytest.mark.in_turn
def test_a_slow_disk_holds_up_no_other_request(gateway: Any, upstream: Any, root: Path, monkeypatch: Any) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        entered.set()
        assert release.wait(30)
        return open_beneath(*arguments)

    document = one_route(upstream.url, path_prefix="/api")
    document["routes"].append(files(root)["routes"][0])
    running = gateway(document, plugins=[Static])
    monkeypatch.setattr("gateway_plugin_static.lookup.open_beneath", slow)
    monkeypatch.setattr(plugin, "_MOST_WAITING", 1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert entered.wait(30)

        assert running.get("/api").status == 200
        assert running.get("/app.js").status == 503

    release.set()
    eventually(lambda: open_below(root) == [])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_kit_alone_serves_files(root: Path, method: str) -> None:
    with PluginHarness(Static, {"root": str(root)}) as harness:
        responses = [harness.request(method, path).response for path in ("/app.js", "/none")]

    assert [response.status for response in responses] == [200, 404]


@pytest.mark.in_turn
def test_in_shadow_mode_nothing_is_sent_and_no_file_stays_open(gateway: Any, upstream: Any, root: Path) -> None:
    running = gateway(one_route(upstream.url, {**static(root), "mode": "shadow"}), plugins=[Static])

    responses = [running.get("/big.bin") for _ in range(3)]

    assert {response.body for response in responses} == {b""}
    assert len(upstream.requests) == 3
    eventually(lambda: open_below(root) == [])


def test_it_goes_together_with_the_other_plugins(gateway: Any, root: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    (root / "long.txt").write_text("words and " * 20_000)
    chain = [
        {"name": "compress", "config": {}},
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 3, "window": "1h", "key": "identity"}},
        static(root),
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "produced_by", "bytes_sent"]}},
    ]
    document = {"routes": [{"id": "files", "path_prefix": "/", "plugins": chain}]}
    running = gateway(document, plugins=[Static, Auth, RateLimit, Logger, Compress])
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    assert running.get("/app.js").status == 401
    whole = running.get("/long.txt", headers={**token, "Accept-Encoding": "gzip"})
    part = running.get("/big.bin", headers={**token, "Range": "bytes=0-9"})
    known = running.get("/long.txt", headers={**token, "If-None-Match": whole.headers["ETag"]})
    assert running.get("/app.js", headers=token).status == 429

    assert (whole.status, whole.headers["Content-Encoding"]) == (200, "gzip")
    assert whole.headers["ETag"].startswith('W/"')
    assert (part.status, part.body, known.status) == (206, BIG[:10], 304)
    eventually(lambda: log.exists() and log.read_text().count("\n") == 5)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["produced_by"]) for line in lines] == [
        (401, "auth"), (200, "static"), (206, "static"), (304, "static"), (429, "ratelimit"),
    ]  # fmt: skip
    assert lines[2]["bytes_sent"] == 10
