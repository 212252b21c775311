"""Settings without effect: each is named where it is written, and no default or useful setting is."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

TWO = "endpoints: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:2'}]"
ONE = "endpoints: [{url: 'http://127.0.0.1:1'}]"
TLS = "endpoints: [{url: 'https://127.0.0.1:1'}, {url: 'https://127.0.0.1:2'}]"
DNS = "discovery: {name: dns, config: {host: a.test}}"


def no_effect(tmp_path: Path, text: str) -> list[str]:
    """Return the key paths that are warned of."""
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    loaded = load([path], registry=PluginRegistry(find=dict), environ={}, offline=True)
    assert {each.code for each in loaded.warnings} <= {"setting.no-effect", "file.missing"}
    return [each.key_path for each in loaded.warnings if each.code == "setting.no-effect"]


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        # strategy and weights
        (f"hash_on: client_ip, {TWO}", []),
        (f"strategy: consistent-hash, hash_on: client_ip, {TWO}", []),
        (f"hash_on: 'param:id', {TWO}", ["hash_on"]),
        (f"hash_on: ['param:id', client_ip], {TWO}", ["hash_on[0]"]),
        (f"strategy_options: {{a: 1}}, {TWO}", ["strategy_options"]),
        ("strategy: round-robin, " + TWO.replace("1'}", "1', weight: 8}"), ["endpoints[0].weight"]),
        ("strategy: round-robin, " + TWO.replace("1'}", "1', weight: 0}"), []),
        (TWO.replace("1'}", "1', weight: 8}"), []),
        ("strategy: least-requests, " + TWO.replace("1'}", "1', weight: 8}"), []),
        (ONE.replace("1'}", "1', weight: 8}"), ["endpoints[0].weight"]),
        (ONE.replace("1'}", "1', weight: 8}") + ", " + DNS, []),
        (ONE.replace("1'}", "1', weight: 0}"), ["endpoints"]),
        (ONE.replace("1'}", "1', status: down}"), ["endpoints"]),
        # one endpoint, ill endpoints
        (f"sticky_cookie: {{name: a}}, {ONE}", ["sticky_cookie"]),
        (f"sticky_cookie: {{name: a}}, {TWO}", []),
        (f"sticky_cookie: {{name: a}}, {DNS}", []),
        (f"panic_threshold: 50, {TWO}", ["panic_threshold"]),
        (f"panic_threshold: 50, health_check: {{enable: false}}, {TWO}", ["panic_threshold"]),
        (f"panic_threshold: 50, health_check: {{}}, {TWO}", []),
        (f"panic_threshold: 50, panic: false, health_check: {{}}, {TWO}", ["panic_threshold"]),
        (f"panic: false, {TWO}", ["panic"]),
        (f"panic: false, health_check: {{}}, {TWO}", []),
        (f"slow_start: 30s, {TWO}", []),
        (f"slow_start: 30s, strategy: round-robin, {TWO}", ["slow_start"]),
        (f"slow_start: 30s, hash_on: client_ip, {TWO}", ["slow_start"]),
        ("slow_start: 30s, endpoints: [{url: 'http://a'}]", ["slow_start"]),
        (f"health_check: {{type: tcp, path: /health, interval: 1s}}, {TWO}", ["health_check.path"]),
        (f"health_check: {{type: grpc, service: a.B, path: /health, host: a}}, {TWO}", ["health_check.path"]),
        (f"health_check: {{service: a.B, path: /health}}, {TWO}", ["health_check.service"]),
        (f"health_check: {{path: /health}}, {TWO}", []),
        (f"outlier_detection: {{consecutive_failures: 0, consecutive_5xx: 0}}, {TWO}", ["outlier_detection"]),
        (f"outlier_detection: {{max_ejection_percent: 0}}, {TWO}", ["outlier_detection"]),
        (f"outlier_detection: {{}}, {ONE}", ["outlier_detection"]),
        (f"outlier_detection: {{}}, {TWO}", []),
        # retries
        (f"retries: {{attempts: 0}}, {TWO}", ["retries"]),
        (f"retries: {{on: []}}, {TWO}", ["retries"]),
        (f"retries: {{methods: []}}, {TWO}", ["retries"]),
        (f"retries: {{budget_percent: 0, budget_minimum: 0}}, {TWO}", ["retries"]),
        (f"retries: {{attempts: 1, backoff_max: 1s}}, {TWO}", ["retries.backoff_max"]),
        (f"retries: {{attempts: 2, backoff_max: 1s}}, {TWO}", []),
        (f"retries: {{attempts: 2, backoff_base: 0s, backoff_max: 1s}}, {TWO}", ["retries.backoff_max"]),
        (f"retries: {{attempts: 1}}, {TWO}", []),
        # timeouts, limits, connections
        (f"timeouts: {{response: 60s, total: 10s}}, {TWO}", ["timeouts.response"]),
        (f"timeouts: {{connect: 10s, idle: 11s, total: 10s}}, {TWO}", ["timeouts.connect", "timeouts.idle"]),
        (f"timeouts: {{total: 10s}}, {TWO}", []),
        (f"timeouts: {{response: 60s, total: 0}}, {TWO}", []),
        (f"limits: {{max_pending: 5}}, {TWO}", ["limits.max_pending"]),
        (f"limits: {{max_pending: 5, max_connections: 5}}, {TWO}", []),
        (
            f"limits: {{max_connections: 5, max_connections_per_endpoint: 6}}, {TWO}",
            ["limits.max_connections_per_endpoint"],
        ),
        (f"limits: {{max_connections: 50, max_connections_per_endpoint: 6}}, {TWO}", ["limits.max_connections"]),
        (f"limits: {{max_connections: 10, max_connections_per_endpoint: 6}}, {TWO}", []),
        (f"keepalive: {{max_idle: 0, idle_timeout: 5s}}, {TWO}", ["keepalive.idle_timeout"]),
        (f"keepalive: {{max_idle: 1, idle_timeout: 5s}}, {TWO}", []),
        (f"tls: {{server_name: a.test}}, {TWO}", ["tls"]),
        (f"tls: {{server_name: a.test}}, {TLS}", []),
        (f"tls: {{server_name: a.test}}, {DNS}", ["tls"]),
        (f"tls: {{server_name: a.test}}, {DNS.replace('a.test', 'a.test, scheme: https')}", []),
        (f"tls: {{ca: gone.pem, verify: false}}, {TLS}", ["tls.ca"]),
        (DNS.replace("a.test", "a.test, record: srv, port: 80"), ["discovery.config.port"]),
    ],
)
def test_settings_of_an_upstream(tmp_path: Path, settings: str, keys: list[str]) -> None:
    text = f"upstreams:\n  - {{name: u, {settings}}}\nroutes: [{{id: r, path: /, target: u}}]\n"

    assert no_effect(tmp_path, text) == [f"upstreams[0].{key}" for key in keys]


@pytest.mark.parametrize(
    ("hash_on", "keys"),
    [("header:X-Tenant", ["hash_on"]), ("[header:x_tenant, client_ip]", ["hash_on[0]"]), ("header:X-Other", [])],
)
def test_a_field_that_is_stripped_is_nothing_to_hash_on(tmp_path: Path, hash_on: str, keys: list[str]) -> None:
    text = f"""
strip_headers: [x-tenant]
upstreams: [{{name: u, hash_on: {hash_on}, {TWO}}}, {{name: v, {TWO}}}]
routes:
  - {{id: r, path: /, target: u}}
  - {{id: s, path: /s, targets: [{{target: u}}, {{target: v}}], hash_on: {hash_on}}}
"""

    assert no_effect(tmp_path, text) == [f"{where}.{key}" for where in ("upstreams[0]", "routes[1]") for key in keys]


@pytest.mark.parametrize(
    ("top", "headers", "keys"),
    [
        ("strip_headers: [x-user]", "{x-user: a, x_user: a, x-other: a}", ["x-user", "x_user"]),
        ("strip_headers: [x-user]", "{x-user: {present: false}}", []),
        ("strip_headers: [x-user]", "{x-user: {none_of: [a]}}", []),
        ("", "{x-forwarded-proto: https, X-Real-IP: {regex: 10.*}}", ["x-forwarded-proto", "X-Real-IP"]),
        ("trusted_proxies: [10.0.0.0/8]", "{x-forwarded-proto: https}", []),
        ("listen: {address: ':80', trusted_proxies: [10.0.0.0/8]}", "{x-forwarded-proto: https}", []),
    ],
)
def test_a_condition_on_a_field_that_no_request_has(tmp_path: Path, top: str, headers: str, keys: list[str]) -> None:
    text = f"{top}\nroutes: [{{id: r, path: /, headers: {headers}, target: 'http://127.0.0.1:1'}}]\n"

    assert no_effect(tmp_path, text) == [f"routes[0].headers.{key}" for key in keys]


@pytest.mark.parametrize(("second", "keys"), [("/x/:id", []), ("/:id/:x", []), ("/:y", ["upstreams[0].hash_on"])])
def test_a_parameter_that_one_route_of_the_upstream_captures_is_something_to_hash_on(
    tmp_path: Path, second: str, keys: list[str]
) -> None:
    routes = f"routes: [{{id: r, path: /, target: u}}, {{id: s, path: '{second}', target: u}}]\n"

    assert no_effect(tmp_path, f"upstreams:\n  - {{name: u, hash_on: 'param:id', {TWO}}}\n{routes}") == keys


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ("path_prefix: /, target: u, strip_path: true", ["strip_path"]),
        ("path: '/:id', target: u, strip_path: true", ["strip_path"]),
        ("path_prefix: /a, target: u, strip_path: true", []),
        ("path_prefix: /a, target: u, rewrite: {prefix: /a}", ["rewrite"]),
        ("path_prefix: /a, target: u, rewrite: {prefix: /b}", []),
        ("path: '/a/:id', target: u, rewrite: {template: '/a/:id'}", ["rewrite"]),
        ("path: /a, target: u, mirror: {target: u, percent: 0}", ["mirror"]),
        ("path: /a, target: u, mirror: {target: u}", []),
        ("path: /a, targets: [{target: u, weight: 3}]", ["targets[0].weight"]),
        ("path: /a, targets: [{target: u}]", []),
        ("path: /a, redirect: {path: /b}, preserve_host: true, timeouts: {total: 3s}", ["preserve_host", "timeouts"]),
        ("path: /a, redirect: {path: /b}", []),
        ("path: /a, target: u, retries: {attempts: 0}", ["retries"]),
        ("path: /a, target: retried, retries: {attempts: 0}", []),
        ("path: /a, target: retried, retries: {attempts: 0, per_try_timeout: 1s}", ["retries"]),
        ("path: /a, target: u, timeouts: {response: 9s, total: 5s}", ["timeouts.response"]),
        ("path: /a, target: quick, timeouts: {response: 9s}", ["timeouts.response"]),
        ("path: /a, target: quick, timeouts: {response: 9s, total: 20s}", []),
    ],
)
def test_settings_of_a_route(tmp_path: Path, settings: str, keys: list[str]) -> None:
    more = f"{{name: retried, retries: {{}}, {TWO}}}, {{name: quick, timeouts: {{total: 8s}}, {TWO}}}"
    text = f"upstreams: [{{name: u, {TWO}}}, {more}]\nroutes:\n  - {{id: r, {settings}}}\n"

    assert sorted(no_effect(tmp_path, text)) == [f"routes[0].{key}" for key in sorted(keys)]


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ("limits: {max_connections: 10, max_connections_per_client: 20}", ["limits.max_connections_per_client"]),
        ("limits: {max_connections: 10, max_connections_per_client: 10}", []),
        ("limits: {max_connections_per_client: 20}", []),
        ("server_timing: true", []),  # the control socket shows the times, as by `gateway top`
        (
            "listen: {address: ':0', tls: {cert: c.pem, key: k.pem, client_ca: a.pem, client_auth: none}}",
            ["listen[0].tls.client_ca"],
        ),
        ("listen: {address: ':0', tls: {cert: c.pem, key: k.pem, client_ca: a.pem}}", []),
        (
            "listen: {address: ':0', tls: {cert: c.pem, key: k.pem, min_version: '1.3', ciphers: AES128-GCM-SHA256}}",
            ["listen[0].tls.ciphers"],
        ),
        ("trusted_proxies: [10.0.0.0/8, 10.1.0.0/16, 10.0.0.0/8]", ["trusted_proxies[1]", "trusted_proxies[2]"]),
        ("trusted_proxies: [10.0.0.0/8, 192.168.0.0/16, 'fd00::/8']", []),
    ],
)
def test_settings_of_the_process(tmp_path: Path, settings: str, keys: list[str]) -> None:
    text = settings.replace("AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")

    assert no_effect(tmp_path, f"{text}\nroutes: [{{id: r, path: /, target: 'http://127.0.0.1:1'}}]\n") == keys


def test_a_priority_that_all_routes_share_decides_nothing(tmp_path: Path) -> None:
    text = "routes:\n  - {id: a, path: /a, target: 'http://127.0.0.1:1', priority: 5}\n"

    assert no_effect(tmp_path, text) == ["routes[0].priority"]
    assert no_effect(tmp_path, text + "  - {id: b, path_prefix: /, target: 'http://127.0.0.1:1'}\n") == []
