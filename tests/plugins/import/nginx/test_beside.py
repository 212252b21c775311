"""The same requests to a real nginx and to the gateway with the imported configuration, beside each other."""

# ruff: noqa: E501 - configurations of nginx and requests, one a line
from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.testing import Client, RunningGateway, eventually
from gateway_import.files import Files
from gateway_import.formats import load_format
from gateway_import.writer import to_yaml

from tests.examples.kit import EXAMPLES, Service
from tests.ports import free_port
from tests.programs import program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CONFIG = r"""
upstream app { server 127.0.0.1:APP; }
map $http_user_agent $bad_bot { default 0; ~*(sqlmap|nikto) 1; "curl/1" 1; }
map $http_x_tier $tier { default none; gold 1; silver 2; }
geo $inside { default 0; 10.0.0.0/8 1; }
geo $here { default 0; 127.0.0.0/8 1; }
server {
    listen 127.0.0.1:PORT;
    server_name example.com *.example.com;
    if ($bad_bot) { return 403; }
    add_header X-Frame-Options DENY always;
    proxy_set_header X-Server first;
    location = /exact { proxy_pass http://app; }
    location / { proxy_pass http://app; proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr; }
    location ^~ /assets/ { proxy_pass http://app/static/; add_header X-Assets yes; }
    location /assets/deep/ { proxy_pass http://app/deep/; }
    location ~* \.(gif|png)$ { proxy_pass http://app; proxy_set_header Host images.internal; }
    location ~ \.png$ { return 410; }
    location /blog/ {
        proxy_pass http://app;
        location ~ \.php$ { return 402; }
        location /blog/admin/ { allow 10.0.0.0/8; deny all; proxy_pass http://app; }
        location = /blog/open { return 200 open; }
    }
    location /blog/drafts/ { proxy_pass http://app/blog-drafts/; }
    location ~ \.php$ { return 409; }
    location ~ ^/u/(\d+)/(.*)$ { proxy_pass http://app/users/$1/$2; }
    location ~ ^/(?<kind>red|blue)-things { proxy_pass http://app/things/$kind; }
    location /old { rewrite ^/old/(.*)$ /new/$1 permanent; proxy_pass http://app; }
    location /br/ { rewrite ^/br/x/(.*)$ /broken/$1 break; proxy_pass http://app; }
    location /write { limit_except GET { deny all; } proxy_pass http://app; }
    location /if {
        if ($request_method = POST) { return 405; }
        if ($http_user_agent ~* "b[o0]t") { return 403; }
        if ($arg_debug) { return 418; }
        proxy_pass http://app;
    }
    location /gone { return 410; }
    location /go { return 302 https://other.example/x?y=1; }
    location /local { deny 127.0.0.1; allow all; proxy_pass http://app; }
    location /mixed { allow 127.0.0.1; deny 127.0.0.0/8; allow all; proxy_pass http://app; }
    location /private { auth_basic "staff"; auth_basic_user_file users; proxy_pass http://app; }
    location /either { satisfy any; allow 10.0.0.0/8; deny all; auth_basic "staff"; auth_basic_user_file users; proxy_pass http://app; }
    location /asked { auth_request /check; auth_request_set $who $upstream_http_x_none; proxy_pass http://app; }
    location = /check { internal; proxy_pass http://127.0.0.1:REFUSING; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
    location /small { client_max_body_size 10; proxy_pass http://app; }
    location /files/ { root FOLDER; }
    location /aliased/ { alias FOLDER/files/; }
    location /spa/ { root FOLDER; try_files $uri /files/index.html; }
    location /mine/ { root FOLDER; try_files $uri @app; }
    location /fields { proxy_pass http://app; proxy_set_header Authorization ""; proxy_set_header X-Request "$request_method $scheme"; }
    location @app { proxy_pass http://app; }
    location /geo-in { if ($inside = 0) { return 403; } proxy_pass http://app; }
    location /geo-here { if ($here = 0) { return 403; } proxy_pass http://app; }
    location /tier { if ($tier = none) { return 402; } proxy_pass http://app; }
    location /products { rewrite ^/products/(\d+)$ /item?id=$1 last; proxy_pass http://app/none; }
    location = /item { proxy_pass http://app; add_header X-Assets item; }
    location /hour { proxy_pass http://app; expires 1h; add_header Cache-Control public; }
    location /never { proxy_pass http://app; expires epoch; }
    location /ever { proxy_pass http://app; expires max; }
    location /looked { proxy_pass http://127.0.0.1:REFUSING; try_files $uri @app; }
}
server { listen 127.0.0.1:PORT; server_name www.example.com; return 301 https://example.com$request_uri; }
server { listen 127.0.0.1:PORT; server_name old.org; return 301 http://other.org$request_uri; }
server { listen 127.0.0.1:PORT; server_name a.*; location / { return 200 behind; } }
server { listen 127.0.0.1:PORT; server_name ~^(?<t>.+)\.tenant\.org$; location / { return 200 tenant; } }
server { listen 127.0.0.1:PORT; server_name ~^b.*; location / { return 200 second; } }
server { listen 127.0.0.1:PORT default_server; server_name _; location /status { return 200 ok; } location / { return 404; } }
"""
PATHS = [
    "/", "/x", "/exact", "/exact/", "/exactly", "/assets/a.png", "/assets/deep/a", "/assets/deep/a.png", "/assets/a?b=c",
    "/a.png", "/a.PNG", "/a.pngx", "/blog/x", "/blog/x.php", "/blog/admin/x", "/blog/admin/x.php", "/blog/open", "/blog",
    "/blog/drafts/x", "/blog/drafts/x.php", "/blog/x.gif", "/x.php", "/u/12/a/b", "/u/x/a", "/red-things/1", "/red-thing", "/old/a/b",
    "/older", "/br/x/1", "/br/y/1", "/write", "/if", "/if?debug=1", "/if?debug=0", "/gone", "/gonex", "/go/there",
    "/local", "/mixed", "/private", "/either", "/asked", "/check", "/small", "/files/a.txt", "/files/none.txt",
    "/aliased/a.txt", "/spa/some", "/mine/x", "/fields", "/status", "//x//y", "/%61.png", "/geo-in", "/geo-here/x", "/tier", "/products/7", "/products/7?x=1", "/products/x",
    "/item?y", "/hour", "/never", "/ever", "/looked/x",
]  # fmt: skip
HOSTS = [
    "example.com",
    "sub.example.com",
    "www.example.com",
    "a.com",
    "x.tenant.org",
    "b.tenant.org",
    "bee.org",
    "old.org",
    "other.org",
]


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[tuple[Client, RunningGateway]]:
    ports = {"APP": free_port(), "REFUSING": free_port(), "PORT": free_port()}
    services = [
        Service(str(EXAMPLES / "upstream.py"), "app", str(ports["APP"])),
        Service(str(EXAMPLES / "upstream.py"), "check", str(ports["REFUSING"]), "--status", "403"),
    ]
    text = CONFIG.replace("FOLDER", str(tmp_path))
    for name, port in ports.items():
        text = text.replace(name, str(port))
    file = tmp_path / "conf" / "servers.conf"
    file.parent.mkdir()
    file.write_text(text)
    # htpasswd -nbB alice secret, with the least cost; nginx asks the system's crypt, which knows bcrypt on Debian.
    (file.parent / "users").write_text("alice:$2y$05$S8H4pH7MCIvCF/eL5hBTz.iGRW9qYNpYM2qD3VQ5bH0pYFMTFAUEm\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a file")
    (tmp_path / "files" / "index.html").write_text("<p>index")
    main = tmp_path / "conf" / "nginx.conf"
    temporary = "".join(f"{n}_temp_path {tmp_path}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    main.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary} default_type text/plain; include servers.conf; }}\n"
    )
    nginx = subprocess.Popen(
        [program("nginx", "nginx"), "-c", str(main), "-p", str(tmp_path)], stderr=subprocess.DEVNULL
    )
    files = Files(str(main))
    imported = load_format("nginx").read(files.first(), files, {})
    for listener in imported.listeners:
        listener.keys["address"] = "127.0.0.1:0"
    try:
        for service, port in zip(services, (ports["APP"], ports["REFUSING"]), strict=True):
            service.listens(port)
        client = Client("127.0.0.1", ports["PORT"])
        eventually(lambda: _serves(client))
        with RunningGateway(to_yaml(imported)) as running:
            yield client, running
    finally:
        nginx.kill()
        nginx.wait()
        for service in services:
            service.stop()


def _serves(client: Client) -> bool:
    try:
        return client.request("GET", "/").status > 0
    except OSError:
        return False


def outcome(sender: Any, method: str, path: str, fields: dict[str, str], body: bytes = b"") -> Any:
    """Return what a client and the upstream see, as far as both gateways are to agree."""
    answer = sender.request(method, path, headers=fields, body=body)
    seen: dict[str, Any] = {"status": answer.status}
    for name in ("location", "x-frame-options", "x-assets"):
        if answer.headers.get(name) is not None:
            # nginx makes its own redirects absolute, with the port that it listens on.
            seen[name] = re.sub(r"^http://example\.com:\d+", "", answer.headers[name])
    caching = answer.headers.get_all("cache-control")
    if path.startswith(("/hour", "/never", "/ever")):
        seen["cache-control"] = caching
    if answer.status == 200 and answer.body.startswith(b"{"):
        received = answer.json()
        sent, _, query = received["path"].partition("?")
        kept = ("host", "x-real-ip", "x-server", "authorization", "x-request")
        seen["upstream"] = (
            sent,
            sorted(query.split("&")),
            {name: received["headers"].get(name) for name in kept},
        )
    elif answer.status == 200 and method == "GET":
        seen["body"] = answer.body
    return seen


def test_every_request_gets_from_the_result_what_it_gets_from_nginx(beside: tuple[Client, RunningGateway]) -> None:
    nginx, gateway = beside
    requests = [
        *(("GET", path, {"Host": host}) for host, path in itertools.product(HOSTS[:1], PATHS)),
        *(("GET", path, {"Host": host}) for host, path in itertools.product(HOSTS[1:], ["/", "/status", "/a.png", "/blog/x"])),
        *((method, path, {"Host": "example.com"}) for method in ("POST", "HEAD") for path in ("/write", "/if", "/x", "/small")),
        ("GET", "/if", {"Host": "example.com", "User-Agent": "A Bot"}),
        ("GET", "/if", {"Host": "example.com", "User-Agent": "browser"}),
        *(("GET", "/x", {"Host": "example.com", "User-Agent": agent}) for agent in ("a SQLmap 1", "x nikto", "Curl/1", "curl/12", "")),
        *(("GET", "/tier", {"Host": "example.com", "X-Tier": tier}) for tier in ("gold", "silver", "bronze", "")),
        *(("GET", path, {"Host": "example.com", "Authorization": "Basic YWxpY2U6d3Jvbmc="}) for path in ("/private", "/either", "/fields")),
    ]  # fmt: skip

    different = []
    for method, path, fields in requests:
        body = b"x" * 20 if method == "POST" else b""
        one, other = outcome(nginx, method, path, fields, body), outcome(gateway, method, path, fields, body)
        if one != other:
            different.append((method, fields["Host"], path, one, other))

    assert different == [], "\n".join(map(str, different))
