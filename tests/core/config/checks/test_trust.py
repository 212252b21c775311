"""Settings of trusted peers that trust every peer, or have no effect."""

from __future__ import annotations

import pytest

from tests.core.config.conftest import Load

LISTEN = 'listen: [{address: ":80"}, {address: "unix:/run/g.sock"%s}]\n'


def warnings(load: Load, text: str) -> list[str]:
    found = load(text).warnings
    assert {problem.code.partition(".")[0] for problem in found} <= {"trust"}
    return [f"{problem.key_path}: {problem.message}" for problem in found]


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
