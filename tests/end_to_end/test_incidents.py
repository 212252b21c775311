"""Twelve incidents, each found and named from the log, the metrics and the status alone (docs/incidents.md)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.incidents import HEAD, Incident
from tests.end_to_end.kit import Client, Gateway, Upstream, get, get_over_both
from tests.end_to_end.test_sources import Site
from tests.ports import free_port

pytestmark = pytest.mark.slow

Begin = Callable[..., Incident]


@pytest.fixture
def begin(tmp_path: Path, start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Start a gateway with some routes, whose log is JSON."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(text: str, *more: str, inside: Path | None = None) -> Incident:
        listen = "" if "listen:" in text else 'listen: "127.0.0.1:0"\n'
        return Incident(start(HEAD.format(admin=tmp_path / "admin") + listen + text, *more, inside=inside), tmp_path)

    return run


async def test_a_dead_endpoint(begin: Begin, upstream: Upstream) -> None:
    dead = f"127.0.0.1:{free_port()}"
    incident = begin(f"""
upstreams:
  - name: users
    endpoints: [{{url: "{upstream.url}"}}, {{url: "http://{dead}"}}]
    health_check: {{path: /health, interval: 1s, unhealthy_threshold: 2}}
routes: [{{id: all, path_prefix: /, target: users}}]
""")
    url = await incident.ready()

    await incident.event("endpoint.unhealthy", endpoint=dead, upstreams=["users"], reason="refused")
    healthy = "gateway_upstream_endpoint_healthy"
    await incident.metric(healthy, lambda value: value == 0, upstream="users", endpoint=dead)
    status = await incident.status(lambda found: found["upstreams"][0]["endpoints"][1]["state"] == "unhealthy")
    assert "refused" in status["upstreams"][0]["endpoints"][1]["last_check_error"].lower()
    assert f"users weighted-round-robin {dead} unhealthy" in await incident.shown()
    assert (await get_over_both(url, "/"))[0] == 200


async def test_an_expired_certificate_of_an_upstream(begin: Begin, tmp_path: Path) -> None:
    certificate, key = expired_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(close_at_once, "127.0.0.1", 0, ssl=context)
    endpoint = f"localhost:{server.sockets[0].getsockname()[1]}"
    incident = begin(f"""
upstreams: [{{name: users, endpoints: [{{url: "https://{endpoint}"}}], tls: {{ca: {certificate}}}}}]
routes: [{{id: all, path_prefix: /, target: users}}]
""")
    url = await incident.ready()

    assert (await get_over_both(url, "/"))[0] == 502

    reason = "certificate has expired"
    await incident.event("upstream.connect_failed", upstream="users", endpoint=endpoint, reason=reason)
    await incident.metric("gateway_requests_total", route="all", status="502")
    await incident.metric("gateway_upstream_errors_total", upstream="users", endpoint=endpoint)
    assert reason in await incident.shown()
    server.close()


async def test_an_expired_certificate_of_a_listener(begin: Begin, tmp_path: Path, upstream: Upstream) -> None:
    certificate, key = expired_certificate(tmp_path)
    incident = begin(f"""
listen: {{address: "127.0.0.1:0", tls: {{cert: {certificate}, key: {key}}}}}
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    await incident.ready()

    await incident.event("certificates.warning", listener="127.0.0.1:0", reason="certificate for localhost has expired")
    expired = 1577923200  # 2020-01-02
    await incident.metric("gateway_certificate_expiry_timestamp_seconds", lambda value: value == expired)
    status = await incident.status()
    assert status["degraded"] == ["the certificate for localhost of listener 127.0.0.1:0 has expired"]
    assert "127.0.0.1:0 localhost expired" in await incident.shown()


async def close_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def expired_certificate(folder: Path) -> tuple[Path, Path]:
    """Issue a certificate for localhost that was valid for a day, years ago; return its file and its key."""
    settings, certificate, key = folder / "ca.cnf", folder / "old.crt", folder / "old.key"
    settings.write_text(
        f"[ca]\ndefault_ca = a\n[a]\ndatabase = {folder}/index\nserial = {folder}/serial\nnew_certs_dir = {folder}\n"
        "default_md = sha256\npolicy = p\nx509_extensions = e\n[p]\ncommonName = supplied\n"
        "[e]\nsubjectAltName = DNS:localhost\n[req]\ndistinguished_name = d\n[d]\n"
    )
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    request = ["openssl", "req", "-new", "-config", f"{settings}", *kind, "-keyout", f"{key}"]
    valid = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
    issue = ["openssl", "ca", "-batch", "-selfsign", "-config", f"{settings}", "-keyfile", f"{key}", *valid]
    subprocess.run([*request, "-out", f"{folder}/old.csr"], check=True, capture_output=True)
    subprocess.run([*issue, "-in", f"{folder}/old.csr", "-out", f"{certificate}"], check=True, capture_output=True)
    return certificate, key


async def test_a_slow_name_server(begin: Begin) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        incident = begin(f"""
upstreams:
  - name: users
    discovery: {{name: dns, config: {{host: users.test, port: 80, interval: 1s, nameservers: ["{server}"]}}}}
routes: [{{id: all, path_prefix: /, target: users}}]
""")
        url = await incident.ready()

        await incident.event("discovery.stale", upstream="users", reason="timed out")
        await incident.metric("gateway_discovery_failures_total", upstream="users")
        await incident.metric("gateway_discovery_stale", upstream="users")
        assert (await get_over_both(url, "/"))[0] == 503
        await incident.event("upstream.unavailable", upstream="users")
        status = await incident.status(lambda found: found["state"] == "degraded")
        assert "discovery of upstream users is stale" in status["degraded"]
        assert "- discovery of upstream users is stale" in await incident.shown()


async def test_a_full_disk(begin: Begin, upstream: Upstream, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    incident = begin(f"""
plugins: [{{name: logger, config: {{path: {log}}}}}]
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    url = await incident.ready()
    # What a disk without space does to every write to the file.
    resource.prlimit(incident.gateway.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    assert (await get_over_both(url, "/"))[0] == 200

    await incident.line(f"access log: .* lost for .*{log.name}")
    await incident.metric("gateway_logger_dropped_total")
    status = await incident.status(lambda found: found["state"] == "degraded")
    assert any(log.name in each and "too large" in each.lower() for each in status["degraded"])
    assert "lost for" in await incident.shown()


async def test_a_state_directory_that_is_full(begin: Begin, upstream: Upstream, tmp_path: Path) -> None:
    text = f"""
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
"""
    incident = begin(text, "--last-good")
    await incident.ready()
    resource.prlimit(incident.gateway.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    config = incident.gateway.config
    config.write_text(config.read_text().replace("id: all", "id: everything"))

    event = await incident.event("config.not_kept", path=str(tmp_path / "state"))
    await incident.metric("gateway_shortages_total", what="state")
    await incident.metric("gateway_log_events_total", event="config.not_kept")
    status = await incident.status(lambda found: found["state"] == "degraded")
    assert status["degraded"] == [f"what is in force cannot be kept in {event['path']}: file too large"]

    resource.prlimit(incident.gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    config.write_text(config.read_text().replace("id: everything", "id: again"))
    await incident.status(lambda found: found["state"] == "ready")


PLUGIN = """
from gateway_plugin_sdk import Plugin, hookimpl

class Tiny(Plugin[dict]):
    name = "tiny"

    @hookimpl
    def gateway_pre_proxy(self, request):
        raise KeyError("no such tenant")
"""


async def test_a_plugin_that_raises_for_one_route(begin: Begin, upstream: Upstream, environment: Any) -> None:
    environment.install("1.0", code=PLUGIN)
    incident = begin(
        f"""
routes:
  - {{id: fine, path_prefix: /fine, target: "{upstream.url}"}}
  - {{id: orders, path_prefix: /orders, target: "{upstream.url}", plugins: [{{name: tiny}}]}}
""",
        inside=environment.folder,
    )
    url = await incident.ready()

    assert (await get(url, "/fine"))[0] == 200
    for _ in range(3):
        assert (await get(url, "/orders"))[0] == 500

    reason = "KeyError: 'no such tenant' .*gateway_plugin_tiny.py:9"
    await incident.event(
        "plugin.failed", plugin="tiny", binding="orders/tiny", phase="gateway_pre_proxy", reason=reason
    )
    await incident.metric("gateway_plugin_errors_total", lambda value: value == 3, plugin="tiny")
    await incident.metric("gateway_requests_total", route="orders", status="500")
    assert (await incident.status())["degraded"] == ["binding orders/tiny of plugin tiny fails"]
    shown = await incident.shown()
    assert "- binding orders/tiny of plugin tiny fails" in shown


async def test_a_bad_deploy(begin: Begin, upstream: Upstream) -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    bad = await asyncio.start_server(fail, "127.0.0.1", 0)
    endpoint = f"127.0.0.1:{bad.sockets[0].getsockname()[1]}"
    text = f"""
upstreams:
  - {{name: v1, endpoints: [{{url: "{upstream.url}"}}]}}
  - name: v2
    endpoints: [{{url: "http://{endpoint}"}}]
    circuit_breaker: {{minimum_requests: 5}}
routes: [{{id: orders, path_prefix: /, targets: [{{target: v1, weight: 1}}, {{target: v2, weight: 0}}]}}]
"""
    incident = begin(text)
    url = await incident.ready()
    assert (await get(url, "/"))[0] == 200

    config = incident.gateway.config
    config.write_text(config.read_text().replace("weight: 0", "weight: 9"))
    await incident.event("config.applied", message="routes changed: orders")
    for _ in range(20):
        await get(url, "/")

    await incident.event("breaker.opened", upstream="v2", endpoint=endpoint, reason="responded 500")
    await incident.event("upstream.unavailable", upstream="v2", reason="all circuit breakers are open")
    await incident.metric("gateway_requests_total", route="orders", status="500")
    status = await incident.status()
    assert status["degraded"] == ["upstream v2 has no endpoint that gets requests"]
    assert status["last_reload"]["reason"].startswith("routes changed: orders")
    assert f"v2 weighted-round-robin {endpoint} breaker open 0 responded 500" in await incident.shown()
    bad.close()


async def test_a_descriptor_limit(begin: Begin, upstream: Upstream) -> None:
    incident = begin(f"""
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
limits: {{max_connections: 1000}}
""")
    url = await incident.ready()
    _, hard = resource.prlimit(incident.gateway.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(incident.gateway.process.pid, resource.RLIMIT_NOFILE, (70, hard))

    clients = [await Client.to(url) for _ in range(60)]
    for client in clients[:10]:
        await client.send("/slow")

    text = "too many open files"
    await incident.event("connection.not_accepted", reason=text, descriptor_limit=70)
    for client in clients[30:]:
        client.close()
    shown = await incident.shown()
    assert shown.startswith("gateway ")
    assert f"- connections cannot be accepted: {text}" in shown
    await incident.metric("gateway_shortages_total", what="accept")
    upstream.go.set()
    for client in clients[:30]:
        client.close()


async def test_a_rejected_document(begin: Begin, upstream: Upstream) -> None:
    incident = begin(f"""
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    await incident.ready()

    config = incident.gateway.config
    config.write_text(config.read_text().replace("path_prefix", "path_prefx"))

    await incident.event(
        "config.rejected", trigger="gateway.yaml changed", details="gateway.yaml:.*path_prefx", problems=1
    )
    await incident.metric("gateway_config_reloads_total", result="rejected")
    await incident.metric("gateway_config_last_reload_successful", lambda value: value == 0)
    status = await incident.status(lambda found: found["state"] == "degraded")
    assert status["last_reload"]["problems"][0]["code"] == "key.unknown"
    assert 'unknown key "path_prefx"' in await incident.shown()


async def test_a_stale_source(begin: Begin, upstream: Upstream) -> None:
    site = Site()
    site.text = f"routes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]"
    await site.start()
    incident = begin("", "-c", f"{site.url}?interval=50ms")
    url = await incident.ready()

    await site.stop()

    await incident.event("source.stale", source=site.url)
    await incident.metric("gateway_source_stale")
    status = await incident.status(lambda found: found["state"] == "degraded")
    assert status["degraded"] == [f"source {status['sources'][0]['source']} is stale"]
    assert f"{site.url} stale -" in await incident.shown()
    assert (await get_over_both(url, "/"))[0] == 200


async def test_a_client_that_floods(begin: Begin, upstream: Upstream) -> None:
    incident = begin(f"""
limits: {{max_connections_per_client: 5}}
plugins: [{{name: ratelimit, config: {{rate: 1, burst: 3}}}}]
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    url = await incident.ready()

    clients = [await Client.to(url) for _ in range(8)]
    await incident.event("limit.reached", limit="limits.max-connections", client="127.0.0.1", message="per_client")
    for client in clients:
        client.close()
    statuses: list[int] = []
    while statuses.count(429) < 3:
        statuses.append((await get(url, "/"))[0])
    await incident.metric("gateway_requests_total", route="all", status="429")
    await incident.metric("gateway_ratelimit_refused_total", limit="ratelimit")
    assert "in flight" in await incident.shown()


SECRET = "0123456789abcdef0123456789abcdef"


def token(**claims: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_an_issuer_whose_clock_is_ahead(begin: Begin, upstream: Upstream) -> None:
    incident = begin(f"""
plugins: [{{name: auth, config: {{secret: "{SECRET}"}}}}]
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    url = await incident.ready()
    ahead = int(time.time()) + 600  # noqa: TID251 - what an issuer whose clock is right would add

    sent = token(sub="a", iat=ahead, nbf=ahead, exp=ahead + 300)
    assert (await get_over_both(url, "/", headers=f"Authorization: Bearer {sent}\r\n"))[0] == 401

    await incident.line("auth of route 'all' refused [0-9a-f]+: not-yet-valid")
    await incident.metric("gateway_auth_refusals_total", route="all", reason="not-yet-valid")
    assert "clock of its issuer is ahead" in await incident.shown()


async def test_a_memory_limit(begin: Begin, upstream: Upstream) -> None:
    incident = begin(f"""
workers: 2
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    await incident.ready()
    status = await incident.status(lambda found: len(found["workers"]) == 2)

    # What the kernel does to a process that needs more memory than there is.
    os.kill(status["workers"][0]["pid"], signal.SIGKILL)

    victim = status["workers"][0]
    await incident.event("worker.ended", worker=victim["number"], pid=victim["pid"], status="memory runs out")
    await incident.metric("gateway_worker_crashes_total")
    replaced = await incident.status(lambda found: victim["pid"] not in {each["pid"] for each in found["workers"]})
    assert replaced["gateway"]["pid"] == status["gateway"]["pid"]
