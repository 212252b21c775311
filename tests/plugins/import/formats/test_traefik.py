"""Dynamic configurations of Traefik: what clients get, and files that are none."""

# ruff: noqa: E501 - a configuration of Traefik a line
from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line
from gateway_core.testing import RunningGateway, ScriptedUpstream
from gateway_import.failures import CannotImportError
from gateway_import.writer import to_yaml

from tests.importing import check, import_text, losses, written

CONFIG = """
http:
  routers:
    short: {rule: "PathPrefix(`/`)", service: app}
    api: {rule: "Host(`a.com`) && PathPrefix(`/api`)", service: app, middlewares: [strip]}
    first: {rule: "Path(`/api/first`)", service: app, priority: 1000, middlewares: [replaced]}
    closed: {rule: "PathPrefix(`/closed`)", service: app, middlewares: [digest]}
    inside: {rule: "PathPrefix(`/inside`)", service: app, middlewares: [network]}
    users: {rule: "Path(`/users/{id:[0-9]+}`) || Path(`/me`)", service: app, middlewares: [prefixed]}
  services:
    app: {loadBalancer: {servers: [{url: "UPSTREAM"}]}}
  middlewares:
    strip: {stripPrefix: {prefixes: [/api]}}
    replaced: {replacePath: {path: /one}}
    prefixed: {addPrefix: {prefix: /v2}}
    digest: {digestAuth: {users: [a]}}
    network: {ipAllowList: {sourceRange: [192.0.2.0/24]}}
"""


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("a.com", "/x?y=1", "/x?y=1"), ("a.com", "/api/x", "/x"), ("a.com", "/api", "/"), ("a.com", "/apis", "/s"),
        ("b.com", "/api/x", "/api/x"), ("a.com", "/api/first", "/one"), ("a.com", "/closed/x", 403), ("a.com", "/inside", 403),
        ("a.com", "/users/7", "/v2/users/7"), ("a.com", "/users/x", "/users/x"), ("a.com", "/me", "/v2/me"),
    ],
)  # fmt: skip
def test_requests_go_where_traefik_documents_that_they_go(host: str, path: str, expected: str | int) -> None:
    with ScriptedUpstream() as upstream:
        imported = import_text("traefik", CONFIG.replace("UPSTREAM", upstream.url))
        imported.listeners[0].keys["address"] = "127.0.0.1:0"
        with RunningGateway(to_yaml(imported)) as running:
            answer = running.request("GET", path, headers={"Host": host})

        if isinstance(expected, int):
            assert answer.status == expected
            assert upstream.requests == []
        else:
            assert (answer.status, upstream.last.target) == (200, expected)
            assert upstream.last.headers["host"] == host


def test_the_longer_rule_comes_first_unless_a_priority_is_given() -> None:
    routes = {each["id"]: each["priority"] for each in written(import_text("traefik", CONFIG))["routes"]}

    assert (routes["short"], routes["api"], routes["first"]) == (15, 35, 1000)


def test_a_redirect_to_https_stands_before_the_route_over_https(tmp_path: Path) -> None:
    imported = import_text(
        "traefik",
        "http:\n  routers:\n"
        "    web: {rule: 'Host(`a.com`)', entryPoints: [web], service: s, middlewares: [r]}\n"
        "    tls: {rule: 'Host(`a.com`)', entryPoints: [websecure], service: s, tls: {}}\n"
        "  services: {s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}}\n"
        "  middlewares: {r: {redirectScheme: {scheme: https, permanent: true}}}\n"
        "tls: {certificates: [{certFile: /a.crt, keyFile: /a.key}], options: {default: {minVersion: VersionTLS13}}}\n",
    )

    document = written(imported)
    assert [(each["name"], each["address"], each.get("tls")) for each in document["listen"]] == [
        ("web", ":80", None), ("websecure", ":443", {"cert": "/a.crt", "key": "/a.key", "min_version": "1.3"}),
    ]  # fmt: skip
    redirect, served = document["routes"]
    assert (redirect["scheme"], redirect["redirect"]) == ("http", {"scheme": "https", "status": 308})
    assert (served["scheme"], served["target"]) == ("https", "s")
    assert [each for each in check(imported, tmp_path) if each.startswith("error")] == []
    assert losses(imported) == []


SERVED = "  services: {s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}}\n"


@pytest.mark.parametrize("name", ["HostRegexp", "hostregexp", "HOSTREGEXP", "Hostregexp"])
def test_names_of_matchers_are_taken_in_every_case_that_traefik_takes(name: str) -> None:
    imported = import_text("traefik", f"http:\n  routers: {{r: {{rule: '{name}(`{{h:.+}}`)', service: s}}}}\n{SERVED}")

    (found,) = written(imported)["routes"]
    assert (losses(imported), found["target"]) == ([], "s")


def test_an_entry_point_of_which_every_router_has_tls_has_tls(tmp_path: Path) -> None:
    routers = "{a: {rule: 'Host(`a.com`)', entryPoints: [grpc], service: s, tls: {certResolver: ''}}}"
    certificates = "tls: {certificates: [{certFile: /a.crt, keyFile: /a.key}]}\n"
    imported = import_text("traefik", f"http:\n  routers: {routers}\n{SERVED}{certificates}")

    document = written(imported)
    assert [(each["name"], each["tls"]["cert"]) for each in document["listen"]] == [("grpc", "/a.crt")]
    assert [(each["scheme"], each["target"]) for each in document["routes"]] == [("https", "s")]
    assert (check(imported, tmp_path), losses(imported)) == ([], [(1, "entry point 'grpc'")])


def test_a_router_with_tls_at_an_entry_point_that_others_use_without_is_lost() -> None:
    routers = (
        "{a: {rule: 'Host(`a.com`)', entryPoints: [web], service: s, tls: {}},"
        " b: {rule: 'Host(`b.com`)', entryPoints: [web], service: s},"
        " c: {rule: 'Host(`c.com`)', entryPoints: [websecure], service: s, tls: {}}}"
    )
    certificates = "tls: {certificates: [{certFile: /a.crt, keyFile: /a.key}]}\n"
    imported = import_text("traefik", f"http:\n  routers: {routers}\n{SERVED}{certificates}")

    assert [each["id"] for each in written(imported)["routes"]] == ["b", "c"]
    assert losses(imported) == [(2, "route 'a' for https")]


def test_an_entry_point_whose_address_is_not_known_is_not_opened_to_others() -> None:
    found = written(
        import_text(
            "traefik",
            "http:\n  routers: {r: {rule: 'Host(`a.com`)', service: s, entryPoints: [internal]}}\n"
            "  services: {s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}}\n",
        )
    )

    assert found["listen"] == [{"name": "internal", "address": "127.0.0.1:0", "default": False}]
    assert found["routes"][0]["listeners"] == ["internal"]


def test_keys_count_whatever_their_case_and_names_are_kept() -> None:
    imported = import_text(
        "traefik",
        "HTTP:\n  Routers: {Rule: {Rule: 'Host(`a.com`)', Service: URL, entrypoints: [internal], middlewares: [Users]}}\n"
        "  services: {URL: {loadbalancer: {servers: [{URL: 'http://10.0.0.1'}]}}}\n"
        "  middlewares: {Users: {ipallowlist: {sourcerange: [10.0.0.0/8]}}}\n",
    )

    (route,) = written(imported)["routes"]
    assert (route["id"], route["listeners"], route["target"]) == ("Rule", ["internal"], "URL")
    assert route["plugins"][0]["config"]["allow"] == ["10.0.0.0/8"]


def test_an_option_of_a_router_that_is_not_known_closes_it() -> None:
    imported = import_text(
        "traefik",
        "http:\n  routers: {r: {rule: 'Host(`a.com`)', service: s, somethingNew: 1}}\n"
        "  services: {s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}}\n",
    )

    assert written(imported)["routes"][0]["respond"] == {"status": 403}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entryPoints: {web: {address: ':80'}}\nproviders: {docker: {}}\n", "it is the static configuration"),
        ("services:\n  a: {labels: ['traefik.enable=true']}\n", "is a file of Compose"),
        ("apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\n", "is an object of Kubernetes"),
        ("frontends: {}\nbackends: {a: {}}\n", "Traefik 1"),
        ("routes: []\n", "'http' is missing"),
        ("http: {routers: {r: {rule: 'Host(', service: s}}}", "has a rule that cannot be read"),
        ("http: [", "is no YAML"),
    ],
)
def test_what_is_something_else_is_named(text: str, message: str) -> None:
    with pytest.raises(CannotImportError, match="stdin") as raised:
        import_text("traefik", text)

    assert message in str(raised.value)


def test_toml_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "dynamic.toml"
    file.write_text(
        '[http.routers.r]\nrule = "Host(`a.com`)"\nservice = "s"\n[[http.services.s.loadBalancer.servers]]\nurl = "http://10.0.0.1"\n'
    )

    result = CliRunner().invoke(command_line, ["import", "traefik", str(file)])

    assert (result.exit_code, "hosts: [a.com]" in result.stdout) == (0, True)
