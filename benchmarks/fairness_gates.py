"""What `fairness.py` measures: the gateway, and its peers as far as they are installed; each as one process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GATEWAY = """
listen:
  - 127.0.0.1:{plain}
  - {{address: "127.0.0.1:{tls}", tls: {{cert: {folder}/cert.pem, key: {folder}/key.pem}}}}
log: {{level: error}}
limits: {{header_timeout: 5s}}
upstreams:
  - {{name: u, endpoints: [{{url: "http://127.0.0.1:{upstream}"}}]}}
  - {{name: probe, endpoints: [{{url: "http://127.0.0.1:{probe}"}}]}}
routes:
  - {{id: probe, path: /probe, target: probe}}
  - {{id: proxied, path: /proxied, target: u}}
  - {{id: big, path: /big, target: u}}
  - {{id: "405", path: "/405", methods: [POST], target: u}}
  - {{id: redirect, path: /redirect, redirect: {{path: /elsewhere}}}}
  - id: "401"
    path: "/401"
    target: u
    plugins: [{{name: auth, config: {{secret: 0123456789abcdef0123456789abcdef}}}}]
  - id: "429"
    path: "/429"
    target: u
    plugins: [{{name: ratelimit, config: {{rate: 0.001, burst: 1, key: constant}}}}]
  - {{id: plugin, path: /plugin, target: u, plugins: [{{name: hello}}]}}
"""
PLUGIN = """
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.hooks import Plugin


class Hello(Plugin[object]):
    name = "hello"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response(200, b"hello")
"""
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_header_timeout 5s;
  client_body_temp_path {folder}/cb; proxy_temp_path {folder}/pt; fastcgi_temp_path {folder}/ft;
  uwsgi_temp_path {folder}/ut; scgi_temp_path {folder}/st;
  limit_req_zone $server_name zone=z:1m rate=1r/m;
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  upstream probe {{ server 127.0.0.1:{probe}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{plain} backlog=8192; listen 127.0.0.1:{tls} ssl backlog=8192;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    proxy_http_version 1.1; proxy_set_header Connection "";
    location / {{ return 404; }}
    location /401 {{ return 401; }}
    location /405 {{ return 405; }}
    location /429 {{ limit_req zone=z; limit_req_status 429; proxy_pass http://u; }}
    location /redirect {{ return 308 /elsewhere; }}
    location /plugin {{ return 200 hello; }}
    location /proxied {{ proxy_pass http://u; }}
    location /big {{ proxy_pass http://u; }}
    location /probe {{ proxy_pass http://probe; }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-request 5s
frontend f
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {folder}/both.pem
  http-request redirect location /elsewhere code 308 if {{ path /redirect }}
  http-request return status 401 if {{ path /401 }}
  http-request return status 405 if {{ path /405 }}
  http-request return status 429 if {{ path /429 }}
  http-request return status 200 content-type text/plain string hello if {{ path /plugin }}
  use_backend probe if {{ path /probe }}
  use_backend u if {{ path /proxied /big }}
  http-request return status 404 unless {{ path /proxied /big /probe }}
  default_backend u
backend u
  http-reuse always
  server s 127.0.0.1:{upstream}
backend probe
  http-reuse always
  server s 127.0.0.1:{probe}
"""


@dataclass(frozen=True)
class Ports:
    plain: int
    tls: int
    upstream: int
    probe: int


def make_certificate(folder: Path) -> None:
    cert, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=a"]
    command = ["openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "both.pem").write_text(cert.read_text() + key.read_text())


def installed() -> list[str]:
    """Return what can be measured here."""
    return ["gateway", *(name for name in ("nginx", "haproxy") if shutil.which(name))]


def command_of(name: str, ports: Ports, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write a contestant's configuration; return the command that starts it and what its environment needs."""
    values = {**vars(ports), "folder": folder}
    if name == "nginx":
        (folder / "nginx.conf").write_text(NGINX.format(**values))
        return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], {}
    if name == "haproxy":
        (folder / "haproxy.cfg").write_text(HAPROXY.format(**values))
        return ["haproxy", "-db", "-q", "-f", str(folder / "haproxy.cfg")], {}
    (folder / "gateway.yaml").write_text(GATEWAY.format(**values))
    (folder / "gateway_plugin_hello.py").write_text(PLUGIN)
    metadata = folder / "gateway_plugin_hello-1.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: gateway-plugin-hello\nVersion: 1\n")
    (metadata / "RECORD").write_text("gateway_plugin_hello.py,,\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nhello = gateway_plugin_hello:Hello\n")
    command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(folder / "gateway.yaml")]
    return command, {"PYTHONPATH": str(folder)}
