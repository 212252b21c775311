"""`replacePathRegex` and `redirectRegex`: what they take and make, and which are not carried over."""

# ruff: noqa: E501 - expressions and what becomes of them, one a line
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_import.traefik.regexes import new_path, redirects
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.importing import check, import_text, losses, started, written


def document(
    middleware: str, rule: str = "Host(`a.com`) && PathPrefix(`/api`)", url: str = "http://127.0.0.1:9000"
) -> str:
    return (
        f"http: {{routers: {{r: {{rule: '{rule}', service: s, middlewares: [m]}}}}, middlewares: {{m: {middleware}}},"
        f" services: {{s: {{loadBalancer: {{servers: [{{url: '{url}'}}]}}}}}}}}"
    )


@pytest.mark.parametrize(
    ("pattern", "replacement", "made"),
    [
        ("^/api/v1/(.*)", "/v1/$1", ("/api/v1/(?P<g1>.*)", "/v1/:g1")),
        ("^/(a|b)/([^/]+)$", "/${2}/${1}", ("/(?P<g1>a|b)/(?P<g2>[^/]+)", "/:g2/:g1")),
        ("^/(?P<x>.+)$", "/y/${x}", ("/(?P<x>.+)", "/y/:x")),
        ("/api/(.*)", "/$1", None),
        ("^/api", "/", None),
        ("^/a/(.*)|^/b/(.*)", "/$1", None),
        ("^/api/(.*)", "/v-$1", None),
        ("^/[", "/", None),
    ],
)
def test_a_new_path_is_a_template_of_whole_segments(
    pattern: str, replacement: str, made: tuple[str, str] | None
) -> None:
    assert new_path(pattern, replacement) == made


HTTP, HTTPS = {"scheme": "http"}, {"scheme": "https"}
KNOWN: list[tuple[str, str, list[str], list[tuple[dict[str, Any], dict[str, Any]]]]] = [
    (
        r"^https?://www\.(.+)", "https://${1}", ["www.a.com", "a.com"],
        [(HTTP | {"hosts": ["www.a.com"]}, HTTPS | {"host": "a.com"}), (HTTPS | {"hosts": ["www.a.com"]}, {"host": "a.com"})],
    ),
    (r"^http://(.*)", "https://$1", [], [(HTTP, HTTPS)]),
    (r"^https://a\.com/(.*)", "https://b.com:8443/${1}", ["a.com"], [(HTTPS | {"hosts": ["a.com"]}, {"host": "b.com", "port": 8443})]),
    (r"^https?://c\.com/(.*)", "https://b.com/${1}", ["a.com"], []),
    (r"^(https?://[^/]+)/old/(.*)", "${1}/new/${2}", [], [({"path_regex": "/old/(?P<g2>.*)"}, {"path": "/new/:g2"})]),
    (r"https://(.*)/.well-known/(card|cal)dav", "https://${1}/remote.php/dav/", ["a.com"],
     [(HTTPS | {"path_regex": "/.well-known/(?P<g2>card|cal)dav"}, {"path": "/remote.php/dav/"})]),
    (r"^https?://[^/]+/x$", "https://b.com/y", [], [({"path_regex": "/x"}, HTTPS | {"host": "b.com", "path": "/y"})]),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "replacement", "hosts", "expected"), KNOWN)
def test_a_redirect_is_found_out_for_the_hosts_of_its_router(
    pattern: str, replacement: str, hosts: list[str], expected: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    found = redirects(pattern, replacement, hosts)

    assert found is not None
    assert [(each.conditions, each.keys) for each in found] == expected


@pytest.mark.parametrize(
    ("pattern", "replacement", "hosts"),
    [
        (r"^https?://www\.(.+)", "https://${1}", []),
        (r"^https?://a\.com/(.*)", "https://b.com/x/${1}", ["a.com"]),
        (r"^https?://a\.com/(.*)", "https://b.com/", ["a.com"]),
        (r"^(.*)/old/(.*)", "${1}/new/${2}", ["a.com"]),
        (r"^(https?://[^/]+)/old", "${1}/new", ["a.com"]),
        (r"^(https?://[^/]+)/old/(.*)", "${1}/new-${2}", ["a.com"]),
        (r"^(https?://[^/]+)/old/(.*)", "https://${9}/", ["a.com"]),
        (r"^http://(.*)", "https://${9}", ["a.com"]),
        (r"^.*$", "https://b.com", ["a.com"]),
        (r"[", "https://b.com", ["a.com"]),
    ],
)
def test_a_redirect_that_is_not_known_for_all_is_none(pattern: str, replacement: str, hosts: list[str]) -> None:
    assert redirects(pattern, replacement, hosts) is None


def test_what_an_expression_takes_decides_before_the_rest_of_the_router(tmp_path: Path) -> None:
    imported = import_text("traefik", document("{replacePathRegex: {regex: ^/api/(.*), replacement: /$1}}"))

    first, second = written(imported)["routes"]
    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert (first["path_regex"], first["rewrite"]) == ("/api/(?P<g1>.*)", {"template": "/:g1"})
    assert (second["path_regex"], "rewrite" in second) == ("/api.*", False)
    assert first["priority"] == second["priority"] + 1


@pytest.mark.parametrize(
    "middleware",
    [
        "{replacePathRegex: {regex: /api/(.*), replacement: /$1}}", "{redirectRegex: {regex: ^.*$, replacement: https://b.com}}",
        "{redirectRegex: {regex: ^http://(.*), replacement: https://$1, novel: 1}}",
    ],
)  # fmt: skip
def test_an_expression_that_is_not_carried_over_closes_its_route(tmp_path: Path, middleware: str) -> None:
    imported = import_text("traefik", document(middleware))

    assert written(imported)["routes"][-1]["respond"] == {"status": 403}
    assert check(imported, tmp_path) == []


def test_clients_get_the_new_path_and_the_redirect(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    rewriting = "{replacePathRegex: {regex: ^/api/v1/(.*), replacement: /one/$1}}"
    redirecting = "{redirectRegex: {regex: '^(https?://[^/]+)/api/old/(.*)', replacement: '${1}/api/new/${2}'}}"

    running = started(gateway, import_text("traefik", document(rewriting, url=upstream.url)))
    assert running.get("/api/v1/a/b?c=d", headers={"Host": "a.com"}).status == 200
    assert upstream.last.target == "/one/a/b?c=d"
    running.get("/api/other", headers={"Host": "a.com"})
    assert upstream.last.target == "/api/other"

    running = started(gateway, import_text("traefik", document(redirecting, url=upstream.url)))
    response = running.get("/api/old/a?c=d", headers={"Host": "a.com"})
    assert (response.status, response.headers["location"]) == (307, "/api/new/a?c=d")
    assert running.get("/api/x", headers={"Host": "a.com"}).status == 200


def test_a_redirect_to_https_where_nothing_has_tls_leaves_nothing_for_https(tmp_path: Path) -> None:
    imported = import_text("traefik", document("{headers: {sslRedirect: true, sslHost: b.com}}"))

    (route,) = written(imported)["routes"]
    assert route["redirect"] == {"scheme": "https", "status": 308, "host": "b.com"}
    assert check(imported, tmp_path) == []
    assert [each.is_lost for each in imported.findings] == [False]


def test_options_of_tls_that_are_not_carried_over_are_lost_by_their_lines() -> None:
    text = (
        "http: {routers: {r: {rule: 'Host(`a.com`)', service: s, tls: {}}}, services: {s: {loadBalancer: {servers: [{url: 'http://u'}]}}}}\n"
        "tls:\n  options:\n    default:\n      minVersion: VersionTLS12\n      cipherSuites: [A]\n      curvePreferences: [B]\n"
        "  stores: {default: {defaultCertificate: {certFile: /c.pem, keyFile: /k.pem}}}\n"
    )

    imported = import_text("traefik", text)

    assert losses(imported) == [
        (6, "'cipherSuites' of tls.options 'default'"), (7, "'curvePreferences' of tls.options 'default'")
    ]  # fmt: skip
    tls = next(each["tls"] for each in written(imported)["listen"] if "tls" in each)
    assert tls == {"cert": "/c.pem", "key": "/k.pem"}


def test_a_redirect_that_takes_all_requests_of_a_router_leaves_nothing_to_the_middlewares_behind_it(
    tmp_path: Path,
) -> None:
    text = (
        "http:\n  routers: {r: {rule: 'Host(`www.a.org`) || Host(`a.org`)', service: s, middlewares: [www, secure]}}\n"
        "  services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}\n"
        "  middlewares:\n    www: {redirectRegex: {regex: '^https?://www\\.(.+)', replacement: 'https://${1}'}}\n"
        "    secure: {headers: {sslRedirect: true}}\n"
    )
    imported = import_text("traefik", text)

    redirects = {each["id"]: (each["hosts"], each["redirect"]["host"]) for each in written(imported)["routes"][:1]}
    assert redirects == {"r-redirect": (["www.a.org"], "a.org")}
    assert [each["id"] for each in written(imported)["routes"]] == ["r-redirect", "r-2-to-https"]
    assert check(imported, tmp_path) == []
