"""Secrets that stand where no one expects any: none is in what is written, nor in what is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_import.failures import CannotImportError
from gateway_import.hiding import shown, without_secrets
from gateway_import.writer import to_yaml

from tests.importing import check, import_text

SECRET = "Zk81vQx0rT5mN2bL7cJp"
NGINX = "server {{ listen 127.0.0.1:8080; location / {{ {0} proxy_pass http://127.0.0.1:9000; }} }}"
TRAEFIK = (
    "http: {{routers: {{a: {{rule: '{0}', service: s{1}}}}}, middlewares: {{m: {2}}},"
    " services: {{s: {{loadBalancer: {{servers: [{{url: '{3}'}}]}}}}}}}}"
)
HERE = "http://127.0.0.1:9000"


def traefik(rule: str = "Host(`a.com`)", middleware: str = "{compress: {}}", url: str = HERE) -> str:
    return TRAEFIK.format(rule.replace("'", "''"), ", middlewares: [m]", middleware, url)


def kong(**route: object) -> str:
    routes = [{"name": "r", "paths": ["/a"], **route}]
    return json.dumps({"_format_version": "3.0", "services": [{"name": "s", "url": HERE, "routes": routes}]})


def krakend(**backend: object) -> str:
    endpoint = {"endpoint": "/a", "backend": [{"host": [HERE], "url_pattern": "/a", **backend}]}
    return json.dumps({"version": 3, "endpoints": [endpoint]})


def openapi(url: str, *more: str) -> str:
    servers = [{"url": each} for each in (url, *more)]
    return json.dumps(
        {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": servers, "paths": {"/a": {"get": {}}}}
    )


KEPT = [
    ("nginx", NGINX.format(f'if ($http_x_api_key != "{SECRET}") {{ return 401; }}')),
    ("nginx", NGINX.format(f'if ($arg_token = "{SECRET}") {{ return 204; }}')),
    ("nginx", NGINX.format(f'if ($cookie_plain = "{SECRET}") {{ return 204; }}')),
    ("nginx", NGINX.format(f'if ($http_x_api_key !~ "^{SECRET}$") {{ return 401; }}')),
    ("nginx", NGINX.format(f'if ($http_authorization ~ "Bearer {SECRET}") {{ set $ok 1; }}')),
    ("nginx", NGINX.format(f"proxy_set_header X-Anything {SECRET};")),
    ("nginx", NGINX.format(f'proxy_set_header Authorization "Bearer {SECRET}$novel";')),
    ("nginx", NGINX.format(f"set $api_key {SECRET}; proxy_set_header X-Key $api_key;")),
    ("nginx", NGINX.format(f"rewrite ^/x /y?token={SECRET} break;")),
    ("nginx", NGINX.format("").replace(HERE, f"http://user:{SECRET}@127.0.0.1:9000")),
    ("nginx", NGINX.format("").replace(HERE, f"http://127.0.0.1:9000/x?api_key={SECRET}")),
    ("traefik", traefik(f"Header(`X-Api-Key`, `{SECRET}`)")),
    ("traefik", traefik(f"Query(`token`, `{SECRET}`) || Query(`key={SECRET}`)")),
    ("traefik", traefik(f"HeaderRegexp(`X-Api-Key`, `^{SECRET}$`)")),
    ("traefik", traefik(url=f"http://user:{SECRET}@127.0.0.1:9000/x")),
    ("traefik", traefik(middleware=f"{{forwardAuth: {{address: '{HERE}/auth?token={SECRET}&a=b'}}}}")),
    ("traefik", traefik(middleware=f"{{forwardAuth: {{address: '{HERE}/auth?token={SECRET}&key={SECRET}'}}}}")),
    ("traefik", traefik(middleware=f"{{headers: {{customRequestHeaders: {{X-Anything: {SECRET}}}}}}}")),
    ("kong", kong(headers={"x-api-key": [SECRET, "other"]})),
    ("kong", kong(headers={"x-api-key": [f"~*^{SECRET}$"]})),
    (
        "kong",
        kong(
            plugins=[{"name": "request-transformer", "config": {"add": {"headers": [f"Authorization:{SECRET}$(x)"]}}}]
        ),
    ),
    ("krakend", krakend(url_pattern=f"/b?api_key={SECRET}")),
    ("krakend", krakend(url_pattern=f"/b?api_key={SECRET}", deny=["x"])),
    ("krakend", krakend(url_pattern=f"/b/{{novel}}?api_key={SECRET}", deny=["x"])),
    ("krakend", krakend(url_pattern=f"/b/{{novel}}?api_key={SECRET}")),
    ("krakend", krakend(host=[f"http://user:{SECRET}@127.0.0.1:9000"])),
    ("krakend", krakend(host=[f"ftp://user:{SECRET}@127.0.0.1:9000"])),
    ("openapi", openapi(f"http://user:{SECRET}@127.0.0.1:9000/v1")),
    ("openapi", openapi(HERE, f"https://user:{SECRET}@b.com", f"https://c.com/?key={SECRET}")),
]


@pytest.mark.parametrize(("name", "text"), KEPT)
def test_no_secret_is_written_or_reported(tmp_path: Path, name: str, text: str) -> None:
    assert SECRET in text

    imported = import_text(name, text, validate=False)

    assert SECRET not in to_yaml(imported)
    assert not [each for each in imported.findings if SECRET in str(each)]
    assert check(imported, tmp_path, {"QUERY_TOKEN": "a-token"}) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("traefik", traefik(f"Header(`X-Api-Key`, `{SECRET}`")),
        ("traefik", traefik(f"Header(`X-Api-Key`) `{SECRET}`")),
        ("traefik", traefik(f"Host(`a`) ? {SECRET}")),
        ("traefik", traefik(url=f"http://user:{SECRET}@[x")),
        ("krakend", krakend(host=[f"http://user:{SECRET}@[x"])),
        ("openapi", openapi(f"http://user:{SECRET}@[x")),
    ],
)
def test_no_failure_shows_a_secret(name: str, text: str) -> None:
    with pytest.raises(CannotImportError) as failure:
        import_text(name, text, validate=False)

    assert SECRET not in str(failure.value)


def test_what_a_finding_shows_of_a_url_is_what_a_reader_needs() -> None:
    assert shown("http://a:b@c.com/d?token=e&page=2") == "http://c.com/d?token=***&page=2"
    assert without_secrets("http://a:b@c.com/d?e=f#g") == "http://c.com/d"
    assert without_secrets("http://a:b@[x") == "http://[x"
