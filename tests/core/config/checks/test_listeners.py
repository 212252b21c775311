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
