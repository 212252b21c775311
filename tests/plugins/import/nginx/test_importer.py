"""What becomes of directives of nginx; `test_beside` has the same requests to both."""

# ruff: noqa: E501 - configurations of nginx and requests, one a line
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from gateway_import.failures import CannotImportError

from tests.importing import bindings, check, import_text, losses, server, written


def routes_of(*lines: str, before: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(import_text("nginx", server(*lines, before=before)))["routes"]
    return found


@pytest.mark.parametrize(
    "guard",
    [
        'auth_jwt "realm";', "access_by_lua_block { return; }", "modsecurity on;", "auth_ldap x;", "limit_req zone=missing;",
        "auth_basic $realm;", "auth_request /nowhere;", "allow unix:; deny all;", "if ($blocked) { return 403; }",
        "valid_referers none;", "secure_link $arg_md5;", "something_of_a_module on;",
    ],
)  # fmt: skip
def test_a_guard_that_is_not_carried_over_closes_its_route_and_no_other(guard: str) -> None:
    imported = import_text(
        "nginx", server("location /closed {", guard, "proxy_pass http://u; }", "location / { proxy_pass http://u; }")
    )

    routes = {each["id"]: each for each in written(imported)["routes"]}
    assert routes["a.com--closed"]["respond"] == {"status": 403}
    assert "target" not in routes["a.com--closed"]
    assert routes["a.com"]["target"] == "u"
    assert any(what.startswith("!") for _, what in losses(imported))


def test_a_guard_of_the_server_closes_all_of_its_routes() -> None:
    routes = routes_of('auth_jwt "x";', "location / { proxy_pass http://u; }", "location = /b { proxy_pass http://u; }")

    assert [each["respond"] for each in routes] == [{"status": 403}, {"status": 403}]


def test_an_expression_that_python_lacks_closes_what_it_might_have_taken() -> None:
    routes = routes_of(
        "location = /exact { proxy_pass http://u; }",
        "location ~ [ { deny all; }",
        "location / { proxy_pass http://u; }",
    )

    assert [(each["id"], each.get("target")) for each in routes] == [("a.com--exact", "u"), ("a.com", None)]


def test_a_rewrite_that_leads_to_another_location_is_closed() -> None:
    first, other = routes_of("location / { rewrite ^/a/(.*)$ /b/$1 last; proxy_pass http://u; }")

    assert (first["path_regex"], first["respond"]) == ("/a/(?P<g1>.*)", {"status": 403})
    assert other["target"] == "u"


def test_a_place_that_depends_on_the_request_is_closed() -> None:
    (route,) = routes_of("location / { proxy_pass http://$host; }")

    assert route["respond"] == {"status": 403}


def test_the_clients_path_may_stand_behind_the_host() -> None:
    (route,) = routes_of("location / { proxy_pass http://u$request_uri; }")

    assert (route["target"], "rewrite" in route) == ("u", False)


def test_a_field_that_cannot_be_made_is_removed_so_that_no_client_sends_it() -> None:
    (route,) = routes_of("location / { proxy_pass http://u; proxy_set_header X-Client $ssl_client_s_dn; }")

    assert bindings(route)["request-headers"] == {"request": {"remove": ["X-Client"]}}


def test_secrets_become_variables_and_dollars_stay_text(tmp_path: Path) -> None:
    imported = import_text(
        "nginx",
        server(
            'location / { proxy_pass http://u; proxy_set_header Authorization "Basic c2Vj"; proxy_set_header X-A "a{b}"; }'
        ),
    )

    (route,) = written(imported)["routes"]
    assert bindings(route)["request-headers"]["request"]["set"] == {
        "Authorization": "<NGINX_AUTHORIZATION>",
        "X-A": "a{{b}}",
    }
    assert check(imported, tmp_path) == []


@pytest.mark.parametrize(
    ("rules", "config"),
    [
        ("allow 10.0.0.0/8; deny all;", {"allow": ["10.0.0.0/8"]}),
        ("deny 10.0.0.1; allow 10.0.0.0/30; deny all;", {"allow": ["10.0.0.0", "10.0.0.2/31"]}),
        ("allow 10.0.0.1; deny 10.0.0.0/30;", {"deny": ["10.0.0.0", "10.0.0.2/31"]}),
        ("deny 192.0.2.1; allow all; deny 10.0.0.0/8;", {"deny": ["192.0.2.1"]}),
        ("deny all;", {"deny": ["0.0.0.0/0", "::/0"]}),
    ],
)
def test_the_first_rule_that_fits_an_address_counts(rules: str, config: dict[str, Any]) -> None:
    (route,) = routes_of(f"location / {{ {rules} proxy_pass http://u; }}")

    assert bindings(route)["ip"] == config


def test_satisfy_any_asks_for_a_password_from_other_addresses_only() -> None:
    (route,) = routes_of(
        "location / { satisfy any; allow 10.0.0.0/8; deny all; auth_basic x; auth_basic_user_file f; proxy_pass http://u; }"
    )

    (binding,) = [each for each in route["plugins"] if each["name"] in {"auth", "ip"}]
    assert (binding["name"], binding["when"]) == ("auth", {"client_ip": {"none_of": ["10.0.0.0/8"]}})


@pytest.mark.parametrize(
    ("limit", "config"),
    [
        ("limit_req zone=z burst=5 nodelay;", {"rate": 10, "per": "1s", "burst": 6}),
        ("limit_req zone=z;", {"rate": 10, "per": "1s", "burst": 1}),
        ("limit_req zone=z burst=5;", {"rate": 10, "per": "1s", "burst": 1, "max_delay": "500ms"}),
    ],
)
def test_limits_are_counted_as_nginx_counts(limit: str, config: dict[str, Any]) -> None:
    zone = "limit_req_zone $binary_remote_addr zone=z:1m rate=10r/s;"
    (route,) = routes_of(f"location / {{ {limit} proxy_pass http://u; }}", before=zone)

    shared = {"key": ["client_ip"], "group": "z", "refusal": {"status": 503}}
    assert bindings(route)["ratelimit-z"] == {**config, **shared}


def test_lists_are_inherited_whole_or_not_at_all() -> None:
    inherits, has_own = routes_of(
        "add_header X-A 1 always;", "location = /inherits { return 200 a; }", "location = /own { add_header X-B 1; return 200 a; }",
        "location / { return 404; }",
    )[:2]  # fmt: skip

    assert bindings(inherits)["headers"] == {"response": [{"add": {"X-A": "1"}}]}
    assert [list(each["add"]) for each in bindings(has_own)["headers"]["response"]] == [["X-B"]]


def test_upstreams_keep_their_balancing() -> None:
    before = "upstream u { least_conn; server a:81 weight=3 max_fails=2 fail_timeout=7s; server b backup; server unix:/s down; keepalive 8; }"
    imported = import_text("nginx", server("location / { proxy_pass http://u; }", before=before))

    (upstream,) = written(imported)["upstreams"]
    assert upstream["endpoints"] == [
        {"url": "http://a:81", "weight": 3}, {"url": "http://b", "backup": True}, {"url": "unix:/s", "status": "down"}
    ]  # fmt: skip
    assert (upstream["strategy"], upstream["keepalive"]) == ("least-requests", {"max_idle": 8})
    assert upstream["outlier_detection"]["consecutive_failures"] == 2


def test_what_nginx_does_by_default_is_written() -> None:
    document = written(import_text("nginx", server("location / { proxy_pass http://u; }")))

    assert document["limits"] == {"max_body_bytes": "1MiB"}
    assert document["upstreams"][0]["timeouts"] == {"connect": "60s", "response": "60s", "idle": "60s"}
    assert bindings(document["routes"][0])["headers"] == {"response": [{"remove": ["Server", "X-Pad", "X-Accel-*"]}]}


def test_client_certificates_are_asked_for_by_a_listener_of_the_server() -> None:
    tls = "ssl_certificate {0}.crt; ssl_certificate_key {0}.key;"
    text = (
        f"server {{ listen 443 ssl; server_name a.com; {tls.format('/a')} return 204; }}\n"
        f"server {{ listen 443 ssl; server_name b.com; {tls.format('/b')} ssl_client_certificate /ca.crt; ssl_verify_client on; return 204; }}"
    )

    document = written(import_text("nginx", text))

    assert [(each["name"], each.get("hosts"), each["tls"].get("client_auth")) for each in document["listen"]] == [
        ("https-443", None, None), ("https-443-1", ["b.com"], "required")
    ]  # fmt: skip
    assert [each["listeners"] for each in document["routes"]] == [["https-443"], ["https-443-1"]]


def test_a_whole_server_is_accepted_by_check(tmp_path: Path) -> None:
    imported = import_text(
        "nginx",
        server(
            "gzip on;", "location / { proxy_pass http://u; }", "location ~ ^/x/(.*)$ { grpc_pass u; }",
            "location /s { proxy_pass https://v; }", "location /c { proxy_cache z; proxy_pass http://u/c; }",
            "location /w { proxy_pass http://u; proxy_set_header Upgrade $http_upgrade; }", "error_page 502 /s/x;",
        ),
    )  # fmt: skip

    assert check(imported, tmp_path) == []


def test_other_protocols_and_variables_are_lost() -> None:
    text = "stream { server { listen 9; } }\nhttp {\nmap $uri $x { default 1; }\nserver { listen 80; add_header X $x; return 204; }\n}\n"

    assert losses(import_text("nginx", text)) == [(1, "stream"), (3, "map $uri $x"), (4, "add_header X $x")]


def test_an_expression_with_locations_in_it_is_closed_as_their_guards_have_no_place() -> None:
    imported = import_text(
        "nginx",
        server("location ~ ^/app/ { proxy_pass http://u;", "location ~ [.]php$ { deny all; } }"),
    )

    route = written(imported)["routes"][0]
    assert route["path_regex"] == "/app/.*"
    assert (route["respond"], "target" in route) == ({"status": 403}, False)
    assert losses(imported) == [(3, "!location ~ ^/app/")]


def test_limits_hold_for_the_methods_of_limit_except_and_for_all_others() -> None:
    zone = "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/s;"
    free, others = routes_of(
        "location / { limit_req zone=z; limit_except GET { allow 10.0.0.0/8; deny all; } proxy_pass http://u; }",
        before=zone,
    )[:2]

    assert list(bindings(free))[-1:] == ["ratelimit-z"]
    assert [each for each in bindings(others) if each != "headers"] == ["ratelimit-z", "ip"]


@pytest.mark.parametrize("response", ["302 https://login.a.com/", "https://login.a.com/", '200 "blocked"'])
def test_a_response_under_a_condition_that_is_not_known_is_a_guard_whatever_its_status(response: str) -> None:
    route = routes_of(
        f"location / {{ if ($blocked) {{ return {response}; }} proxy_pass http://u; }}",
        before="geo $arg_a $blocked { default 1; }",
    )[0]

    assert route["respond"] == {"status": 403}


def test_a_redirect_to_the_same_path_elsewhere_guards_nothing() -> None:
    found = routes_of(
        "if ($scheme != https) { return 301 https://$host$request_uri; }",
        "if ($host !~ ^www) { return 301 https://www.a.com$request_uri; }",
        "location / { proxy_pass http://u; }",
    )

    assert [(each.get("scheme"), "redirect" in each, each.get("target")) for each in found] == [
        ("http", True, None),
        (None, False, "u"),
    ]


@pytest.mark.parametrize(
    "guard", ["deny all;", 'auth_basic "x"; auth_basic_user_file f;', "auth_jwt x;", "if ($x) { return 403; }",
              "limit_except GET { deny all; }", "proxy_hide_header X-Secret;"],
)  # fmt: skip
def test_a_guard_of_the_named_location_that_try_files_ends_at_closes_the_route(guard: str) -> None:
    route = routes_of(
        "location / { root /srv; try_files $uri @app; }", f"location @app {{ {guard} proxy_pass http://u; }}"
    )[0]

    assert (route["respond"], "target" in route) == ({"status": 403}, False)


def test_a_named_location_has_its_guards_from_the_server_whatever_the_one_before_it_has() -> None:
    route = routes_of(
        'auth_basic "x"; auth_basic_user_file f;',
        "location / { auth_basic off; root /srv; try_files $uri @app; }",
        "location @app { proxy_pass http://u; }",
    )[0]

    assert route["respond"] == {"status": 403}


def test_a_named_location_sends_its_own_fields() -> None:
    route = routes_of(
        "location / { root /srv; try_files $uri @app; }",
        'location @app { proxy_set_header X-User ""; proxy_pass http://u; }',
    )[0]

    assert bindings(route)["request-headers"] == {"request": {"remove": ["X-User"]}}
    assert route["target"] == "u"


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        ("location ~ [.]php$ { fastcgi_pass unix:/php; }", ["index.html"]),
        ("location ~ ^/admin/.*[.]html$ { deny all; }", ["index.php"]),
        ("location = /sub/index.html { deny all; }", ["index.php"]),
        ("location /index { deny all; }", []),
        ("location ~ [.]html$ { expires 1d; }", ["index.php", "index.html"]),
        ("location = /index { deny all; }", ["index.php", "index.html"]),
    ],
)
def test_an_index_that_another_location_runs_or_guards_is_not_served_as_a_file(other: str, kept: list[str]) -> None:
    inside = "location / { try_files $uri $uri/ =404; }"
    found = routes_of("root /srv; index index.php index.html; autoindex on;", inside, other)

    static = bindings(found[-1])["static"]
    assert static["index"] == kept
    assert static.get("listing", False) is (len(kept) == 2)


def test_a_field_that_must_not_be_empty_is_asked_for_whether_it_is_missing_or_empty() -> None:
    found = routes_of('location / { if ($http_x_key = "") { return 401; } proxy_pass http://u; }')

    assert [(each.get("headers"), each.get("respond", {}).get("status")) for each in found] == [
        ({"x-key": {"present": False}}, 401),
        ({"x-key": {"value": ""}}, 401),
        (None, None),
    ]


def test_an_expression_of_names_takes_a_host_with_a_dot_at_its_end() -> None:
    text = server(
        "location / { proxy_pass http://u; }", name=r"~^adm[.]a[.]com$", before="server { listen 80; return 204; }"
    )
    patterns = [
        each["headers"]["host"]["regex"] for each in written(import_text("nginx", text))["routes"] if "headers" in each
    ]

    assert patterns
    assert all(re.fullmatch(each, host) for each in patterns for host in ("adm.a.com", "ADM.a.com.", "adm.a.com.:80"))


@pytest.mark.parametrize(
    ("expires", "made"),
    [
        ("1y", "max-age=31536000"),
        ("0", "max-age=0"),
        ("-1", "no-cache"),
        ("epoch", "no-cache"),
        ("max", "max-age=315360000"),
    ],
)
def test_how_long_a_response_may_be_kept_is_written(tmp_path: Path, expires: str, made: str) -> None:
    imported = import_text(
        "nginx", server(f"location / {{ proxy_pass http://u; expires {expires}; add_header Cache-Control public; }}")
    )

    (route,) = written(imported)["routes"]
    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    rules = bindings(route)["headers"]["response"][-1]
    assert (rules["remove"], rules["set"], rules["add"]) == (
        ["Expires"], {"Cache-Control": made}, {"Cache-Control": "public"}
    )  # fmt: skip


@pytest.mark.parametrize("expires", ["@15h30m", "modified +1h", "$expires"])
def test_a_time_that_depends_on_more_than_the_file_is_lost(expires: str) -> None:
    imported = import_text("nginx", server(f"location / {{ proxy_pass http://u; expires {expires}; }}"))

    assert losses(imported) == [(3, f"expires {expires}")]


@pytest.mark.parametrize(("last", "noted"), [("/index.html", True), ("=404", False)])
def test_a_page_in_the_place_of_a_missing_file_is_noted_as_it_is_not_for_every_path(last: str, noted: bool) -> None:
    imported = import_text("nginx", server(f"location / {{ root /srv; try_files $uri {last}; }}"))

    assert bindings(written(imported)["routes"][0])["static"].get("fallback") == ("index.html" if noted else None)
    assert [(each.what, each.is_lost) for each in imported.findings] == (
        [(f"try_files $uri {last}", False)] if noted else []
    )


def test_a_file_is_looked_for_before_a_request_is_sent_on() -> None:
    lines = ("location / { proxy_pass http://u; try_files $uri %s; }", "location @v { proxy_pass http://v; }")

    (named,) = routes_of(lines[0] % "@v", lines[1])
    (status,) = routes_of(lines[0] % "=404", lines[1])

    assert named["target"] == "v"
    assert status["respond"] == {"status": 403}


def test_fastcgi_is_lost_by_its_place_and_closed(tmp_path: Path) -> None:
    imported = import_text(
        "nginx", server("location ~ [.]php$ {", "fastcgi_param X y;", "fastcgi_pass php:9000; }", "return 204;")
    )
    closed = import_text("nginx", server("location ~ [.]php$ { fastcgi_pass php:9000; }"))

    assert losses(imported) == []  # as every request gets the response of the server
    assert losses(closed) == [(3, "fastcgi_pass php:9000")]
    assert written(closed)["routes"][0]["respond"] == {"status": 403}
    assert check(closed, tmp_path) == []


def test_a_template_of_envsubst_is_refused_with_the_line_of_its_variable() -> None:
    text = server("location /${HOOK_PATH} { return 204; }")

    with pytest.raises(CannotImportError, match=r"^stdin:3: has \$\{HOOK_PATH\}, which is no variable of nginx"):
        import_text("nginx", text)

    import_text("nginx", server("set $HOOK_PATH x; location / { proxy_pass http://u/${HOOK_PATH}; }"))


@pytest.mark.parametrize("depth", [61, 20_000])
def test_what_is_nested_too_deep_is_refused_with_its_line(depth: int) -> None:
    with pytest.raises(CannotImportError, match=r"^stdin:61: is nested more than 60 levels deep$"):
        import_text("nginx", "location / {\n" * depth + "}" * depth)
