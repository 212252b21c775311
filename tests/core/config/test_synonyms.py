from __future__ import annotations

import pytest
from gateway_core.config import ConfigError, GatewayConfig
from gateway_core.config.location import KeyPath
from gateway_core.config.model_errors import fields_at
from gateway_core.config.synonyms import _HINTS, shorthand_hint, synonym_hint

from tests.core.config.conftest import Load

SECTIONS: dict[str, KeyPath] = {
    "": (),
    "routes": ("routes", 0),
    "upstreams": ("upstreams", 0),
    "endpoints": ("upstreams", 0, "endpoints", 0),
    "listen": ("listen", 0),
    "plugins": ("plugins", 0),
    "health_check": ("upstreams", 0, "health_check"),
    "rewrite": ("routes", 0, "rewrite"),
    "admin": ("admin",),
    "retries": ("upstreams", 0, "retries"),
    "timeouts": ("upstreams", 0, "timeouts"),
}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("routes", 0, "strip_prefix"), "write strip_path: true"),
        (("routes", 3, "upstream"), "write target, with the name of an upstream or a URL"),
        (("routes", 0, "service"), "write target, with the name of an upstream or a URL"),
        (("routes", 0, "health_check"), "it belongs on an upstream, under upstreams"),
        (("routes", 0, "websocket"), "leave it out, WebSockets pass without a setting"),
        (("upstreams", 0, "nodes"), "write endpoints: [{url: http://127.0.0.1:8081}]"),
        (("listen", "port"), 'write address: ":8080"'),
        (("routes", 0, "plugins", 1, "conf"), "write config"),
        (("tls",), 'write it on a listener: listen: {address: ":443", tls: {cert: ..., key: ...}}'),
        (("routes", 0, "nonsense"), ""),
    ],
)
def test_words_of_other_gateways_get_ours(path: KeyPath, hint: str) -> None:
    assert synonym_hint(path) == hint


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_no_word_of_ours_is_a_synonym_where_it_is_known(section: str) -> None:
    assert not _HINTS[section].keys() & set(fields_at(GatewayConfig, SECTIONS[section]))


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        (("listen",), 8080, 'write ":8080" for every interface, or "127.0.0.1:8080"'),
        (("listen", 1), 8080, 'write ":8080" for every interface, or "127.0.0.1:8080"'),
        (("listen",), 99999, ""),
        (("listen",), True, ""),
        (("admin",), "127.0.0.1:9090", 'write {listen: "127.0.0.1:9090"}'),
        (("admin",), 9090, "write {listen: 127.0.0.1:9090}"),
        (("upstreams", 0, "endpoints", 0), "http://a", 'write {url: "http://a"}'),
        (("routes", 0, "plugins", 0), "auth", 'write {name: "auth"}'),
        (("limits",), 5, ""),
    ],
)
def test_a_single_value_in_the_place_of_a_section_is_written_out(path: KeyPath, value: object, hint: str) -> None:
    assert shorthand_hint(path, value) == hint


def test_a_problem_ends_with_the_hint(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("listen: 8080\nadmin: 127.0.0.1:9090\nroutes: [{path: /, upstream: a}]\n")

    messages = [problem.text for problem in caught.value.problems]
    assert messages == [
        '8080 is a number, where a mapping is expected: write ":8080" for every interface, or "127.0.0.1:8080"',
        '"127.0.0.1:9090" is text, where a mapping is expected: write {listen: "127.0.0.1:9090"}',
        'unknown key "upstream": write target, with the name of an upstream or a URL',
    ]
