"""What the benchmarks of connections measure: the gateway, its peers, and floors, each as one pinned process tree.

A floor is a server of a few lines on the same event loop (`floor_server.py`): what it costs cannot be saved by us.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
BODY = "x" * 1024
GATEWAY = """
workers: {workers}
listen: [{{address: "127.0.0.1:{port}"{tls}}}]
log: {{level: error}}
limits: {{idle_timeout: 10m}}
upstreams: [{{name: u, endpoints: [{{url: "http://127.0.0.1:{upstream}"}}]}}]
routes: [{{id: all, path_prefix: /, target: u}}]
"""
NGINX = """
worker_processes {workers}; daemon off; pid {folder}/{name}.pid; error_log /dev/null; worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_body_temp_path {folder}/{name}-cb;
  proxy_temp_path {folder}/{name}-pt; fastcgi_temp_path {folder}/{name}-ft; uwsgi_temp_path {folder}/{name}-ut;
  scgi_temp_path {folder}/{name}-st; ssl_session_cache shared:s:10m;
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port}{tls} backlog=8192; {certificate} ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
    }}
  }}
}}
"""
UPSTREAM = """
worker_processes 1; daemon off; pid {folder}/upstream.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type text/plain;
  client_body_temp_path {folder}/u-cb; proxy_temp_path {folder}/u-pt; fastcgi_temp_path {folder}/u-ft;
  uwsgi_temp_path {folder}/u-ut; scgi_temp_path {folder}/u-st;
  server {{ listen 127.0.0.1:{port} backlog=8192; location / {{ return 200 "{body}"; }} }}
}}
"""
ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          use_remote_address: true
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [
            {{match: {{prefix: "/"}}, route: {{cluster: u}}}}]}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{certificate}
  clusters:
  - name: u
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]}}
    load_assignment: {{cluster_name: u, endpoints: [{{lb_endpoints: [{{endpoint: {{
      address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]}}]}}
"""
ENVOY_TLS = """
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_certificates:
            - {{certificate_chain: {{filename: "{folder}/cert.pem"}}, private_key: {{filename: "{folder}/key.pem"}}}}
"""


@dataclass(frozen=True)
class Bench:
    """Where a run keeps its files, and what runs beside the contestants."""

    folder: Path
    upstream: int
    envoy: str

    def names(self) -> list[str]:
        """Return which peers can be measured here."""
        return [*(["nginx"] if shutil.which("nginx") else []), *(["envoy"] if self.envoy else [])]


def find_envoy(given: str = "") -> str:
    """Return the path of Envoy, or nothing."""
    return given or shutil.which("envoy") or ""


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def make_certificate(folder: Path) -> None:
    """Write ``cert.pem`` and ``key.pem`` (ECDSA, P-256)."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=a"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
    for name in ("key.pem", "cert.pem"):  # nginx's workers are another user
        (folder / name).chmod(0o644)


def command_of(bench: Bench, name: str, port: int, *, tls: bool, workers: int = 1) -> list[str]:
    """Write a contestant's configuration; return the command that starts it."""
    folder = bench.folder
    cert, key = folder / "cert.pem", folder / "key.pem"
    values = {"port": port, "upstream": bench.upstream, "folder": folder, "workers": workers, "name": name}
    if name == "nginx":
        file = folder / "nginx.conf"
        certificate = f"ssl_certificate {cert}; ssl_certificate_key {key};" if tls else ""
        file.write_text(NGINX.format(**values, tls=" ssl" if tls else "", certificate=certificate))
        return ["nginx", "-p", str(folder), "-c", str(file)]
    if name == "envoy":
        file = folder / "envoy.yaml"
        file.write_text(ENVOY.format(**values, certificate=ENVOY_TLS.format(folder=folder) if tls else ""))

        return [bench.envoy, "-c", str(file), "--concurrency", str(workers), "-l", "off", "--use-dynamic-base-id"]
    floor = [sys.executable, str(Path(__file__).parent / "floor_server.py"), str(port)]
    if name == "floor-relay":
        return [*floor, "--relay", str(bench.upstream)]
    if name.startswith("floor"):
        files = [f"--{name.partition('-')[2] or 'ssl'}", str(cert), str(key)] if tls else []
        return [*floor, *files]
    file = folder / "gateway.yaml"
    file.write_text(GATEWAY.format(**values, tls=f", tls: {{cert: {cert}, key: {key}}}" if tls else ""))
    return [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]


class Running:
    """A contestant that runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def _tree(self) -> list[int]:
        found, todo = [], [self._process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
            todo += [int(each) for each in children.stdout.split()]
        return found

    def cpu_seconds(self) -> float:
        """Return the user and system time of all its processes."""
        total = 0
        for pid in self._tree():
            with contextlib.suppress(FileNotFoundError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def rss_mib(self) -> float:
        """Return the memory of all its processes."""
        total = 0
        for pid in self._tree():
            with contextlib.suppress(FileNotFoundError):
                found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                total += int(found[1]) if found else 0
        return total / 1024


@contextlib.contextmanager
def running(command: list[str], port: int, cpu: int = 0) -> Iterator[Running]:
    """Run a contestant on one CPU until the block ends."""
    pin = ["taskset", "-c", str(cpu)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*pin, *command], start_new_session=True, **quiet)  # type: ignore[call-overload]
    try:
        _wait_until_it_listens(process, port)
        contestant = Running(process)
        _wait_until_it_rests(contestant)
        yield contestant
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} does not listen on port {port}")


def _wait_until_it_rests(contestant: Running) -> None:
    """Wait until what a contestant does behind its start is done: a request does not pay for it."""
    used, end = -1.0, time.monotonic() + 30
    while (now := contestant.cpu_seconds()) - used > 2 / TICKS and time.monotonic() < end:
        used = now
        time.sleep(0.7)


@contextlib.contextmanager
def nginx_upstream(folder: Path, cpu: int = 1) -> Iterator[int]:
    """Run an upstream that returns 1 KiB; yield its port."""
    port, file = free_port(), folder / "upstream.conf"
    file.write_text(UPSTREAM.format(folder=folder, port=port, body=BODY))
    with running(["nginx", "-p", str(folder), "-c", str(file)], port, cpu):
        yield port
