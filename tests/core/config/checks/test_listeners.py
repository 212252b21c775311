"""Listeners that share an address, and routes that name listeners."""

from __future__ import annotations

import pytest
from gateway_core.config import ConfigError

from tests.core.config.conftest import Load

TLS = "tls: {cert: c.pem, key: k.pem}"
ROUTE = "{path: /, target: 'http://127.0.0.1:8081'}"


def problems(load: Load, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return [f"{problem.key_path} {problem.code}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    "listen",
    [
        "':80'",
        "[':80', ':81']",
        "[{address: ':80', hosts: [a.test]}, {address: ':80', hosts: [b.test]}, ':80']",
        f"[{{address: ':443', hosts: ['*.a.test'], {TLS}}}, {{address: ':443', hosts: [a.test, x.a.test], {TLS}}}]",
        "[{address: ':80', proxy_protocol: true}, {address: ':80', hosts: [a.test], proxy_protocol: true}]",
        "[{address: ':80', proxy_protocol: false}, {address: ':80', hosts: [a.test]}]",
        "{address: 'unix:/run/a.sock', mode: '0660', owner: 'www-data:33'}",
        "{address: ':80', name: internal, default: false}",
    ],
)
def test_listeners_that_agree_may_share_an_address(load: Load, listen: str) -> None:
    load(f"listen: {listen}")


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (f"[{{address: ':1', {TLS}}}, {{address: ':1', hosts: [a.test]}}]", "listen[1] listen.disagree"),
        (
            "[{address: ':1', proxy_protocol: true}, {address: ':1', hosts: [a.test]}]",
            "listen[1] listen.disagree",
        ),
        (
            "[{address: 'unix:/s', mode: '0600'}, {address: 'unix:/s', hosts: [a.test], mode: '0660'}]",
            "listen[1].mode listen.disagree",
        ),
        ("[{address: 'unix:/s'}, {address: 'unix:/s', hosts: [a.test], owner: a}]", "listen[1].owner listen.disagree"),
        (
            "[{address: ':1', hosts: [a.test]}, {address: ':1', hosts: [b.test, A.test.]}]",
            "listen[1].hosts[1] name.duplicate",
        ),
        ("{address: ':1', hosts: [a.test, a.test]}", "listen.hosts[1] name.duplicate"),
        ("[':1', ':1']", "listen[1] listen.overlap"),
        ("['127.0.0.1:0', '127.0.0.1:0']", "listen[1] listen.overlap"),
        ("[{address: ':1', mode: '0660'}]", "listen[0].mode value.inconsistent"),
        ("[{address: ':1', owner: root}]", "listen[0].owner value.inconsistent"),
        ("[{address: ':1', default: false}]", "listen[0].default value.inconsistent"),
    ],
)
def test_listeners_that_contradict_each_other_are_problems(load: Load, listen: str, expected: str) -> None:
    assert problems(load, f"listen: {listen}") == [expected]


def test_a_route_may_name_only_listeners_that_there_are(load: Load) -> None:
    named = "listen: [{name: web, address: ':80'}]\nroutes: [{path: /, listeners: [%s], target: 'http://127.0.0.1:1'}]"
    load(named % "web")

    assert problems(load, named % "web, wep") == ["routes[0].listeners[1] listener.unknown"]


@pytest.mark.parametrize(
    ("text", "key_path"),
    [
        ("listen: [':8080', '127.0.0.1:8080']", "listen[1]"),
        ("listen: ':8080'\nadmin: {listen: ':8080'}", "admin.listen"),
        ("listen: '127.0.0.1:8080'\nadmin: {listen: '0.0.0.0:8080'}", "admin.listen"),
        ("admin: {listen: '127.0.0.1:8080'}", "admin.listen"),
    ],
)
def test_overlapping_listeners_are_problems(load: Load, text: str, key_path: str) -> None:
    assert problems(load, text) == [f"{key_path} listen.overlap"]


@pytest.mark.parametrize("listen", ["':9090'", "0.0.0.0:9090", "10.0.0.1:9090", "'[::]:9090'", "gateway.internal:9090"])
def test_an_admin_listener_that_others_reach_is_a_warning(load: Load, listen: str) -> None:
    (warning,) = load(f"admin: {{listen: {listen}}}").warnings

    assert (warning.code, warning.key_path) == ("admin.exposed", "admin.listen")


@pytest.mark.parametrize("listen", ["127.0.0.1:9090", "127.1.2.3:9090", "localhost:9090", "'[::1]:9090'", "unix:/a"])
def test_an_admin_listener_of_this_machine_is_none(load: Load, listen: str) -> None:
    assert load(f"admin: {{listen: {listen}}}").warnings == ()


LISTEN = 'listen: [{address: ":80"}, {address: "unix:/run/g.sock"%s}]\n'


def warnings(load: Load, text: str) -> list[str]:
    found = load(text).warnings
    assert {problem.code.partition(".")[0] for problem in found} <= {"trust"}
    return [f"{problem.key_path}: {problem.text}" for problem in found]


@pytest.mark.parametrize(
    "text",
    [
        "trusted_proxies: [10.0.0.0/8, 192.0.2.1]",
        "trusted_proxies: [10.0.0.0/8]\nclient_address: {hops: 1}",
        'listen: "unix:/run/g.sock"\ntrusted_proxies: ["unix:"]\nclient_address: {header: x-real-ip}',
        LISTEN % "" + 'trusted_proxies: ["unix:", 10.0.0.0/8]',
        LISTEN % ', trusted_proxies: ["unix:"], client_address: {hops: 1}',
        LISTEN % ', trusted_proxies: ["unix:"]' + "client_address: {hops: 1}",
        'listen: {address: ":80", trusted_proxies: []}',
    ],
)
def test_settings_that_count_are_no_problem(load: Load, text: str) -> None:
    assert warnings(load, text) == []


@pytest.mark.parametrize("peer", ["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/7", "'2000::/3'"])
@pytest.mark.parametrize("text", ["trusted_proxies: [%s]", "listen: {address: ':80', trusted_proxies: [%s]}"])
def test_networks_wider_than_an_operators_are_a_warning(load: Load, peer: str, text: str) -> None:
    (warning,) = warnings(load, text % peer)

    assert "trusted_proxies[0]: " in warning
    assert "holds addresses of strangers" in warning


@pytest.mark.parametrize(
    ("peers", "path"),
    [
        ("10.0.0.0/8, 10.1.0.0/16", "trusted_proxies[1]"),
        ("10.1.0.0/16, 10.0.0.0/8", "trusted_proxies[0]"),
        ("10.0.0.0/8, 10.0.0.0/8", "trusted_proxies[1]"),
        ("'fd00::/8', '::1', 'fd00::1'", "trusted_proxies[2]"),
    ],
)
def test_a_network_that_another_one_holds_is_a_warning(load: Load, peers: str, path: str) -> None:
    (warning,) = load(f"trusted_proxies: [{peers}]").warnings

    assert (warning.code, warning.key_path) == ("setting.no-effect", path)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
@pytest.mark.parametrize("text", ["trusted_proxies: ['%s']", "listen: {address: ':80', trusted_proxies: ['%s']}"])
def test_trusting_every_address_is_a_warning(load: Load, network: str, text: str) -> None:
    (warning,) = warnings(load, text % network)

    assert f'trusted_proxies[0]: "{network}" trusts every peer' in warning


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("client_address: {hops: 1}", "client_address"),
        ("client_address: {header: x-real-ip}\nlisten: {address: ':80', trusted_proxies: []}", "client_address"),
        ("listen: [{address: ':80', client_address: {hops: 1}}]", "listen[0].client_address"),
        ('trusted_proxies: ["unix:"]', "trusted_proxies[0]"),
        ('listen: "unix:/run/g.sock"\ntrusted_proxies: [10.0.0.0/8]', "trusted_proxies[0]"),
        (LISTEN % ", trusted_proxies: [10.0.0.0/8]", "listen[1].trusted_proxies[0]"),
        ('listen: {address: ":80", trusted_proxies: [10.0.0.0/8, "unix:"]}', "listen.trusted_proxies[1]"),
    ],
)
def test_settings_without_effect_are_named(load: Load, text: str, path: str) -> None:
    assert [warning.partition(": ")[0] for warning in warnings(load, text)] == [path]
    assert "no effect" in warnings(load, text)[0]


@pytest.mark.parametrize("text", ["trusted_proxies: 7", "listen: 7", "listen: [7, {address: 7, trusted_proxies: {}}]"])
def test_values_of_the_wrong_kind_are_another_checks(load: Load, text: str) -> None:
    with pytest.raises(Exception, match="expected"):
        load(text)
