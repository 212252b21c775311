"""What a refused configuration shows: never a literal secret, whatever else is wrong around it."""

from __future__ import annotations

import pytest
from gateway_core.config import ConfigError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.config.conftest import Load

SECRET = "Hunter2Hunter2"

DOCUMENTS = {
    "another problem on the line of a good secret": "plugins: [{name: auth, config: {secret: S}, tmeout: 1s}]",
    "a plugin that is not installed": "plugins: [{name: missing, config: {secret: S}}]",
    "a key that nobody knows": "plugins: [{name: auth, config: {secret: S, client_secret: S}}]",
    "a document that cannot be read": "plugins: [{name: auth, config: {secret: S, 'a}}]",
    "a key that is given twice": "plugins: [{name: auth, config: {secret: S, secret: S}}]",
    "a switched-off binding": "plugins: [{name: auth, enabled: false, config: {secret: S}, x: 1}]",
    "a value of the wrong kind": "plugins: [{name: auth, config: {secret: [S]}}]",
    "a plugin that does not load": "plugins: [{name: geo, config: {password: S}}]",
    "a url of an endpoint": "upstreams: [{name: a, endpoints: [{url: 'http://u:S@h'}]}]",
    "a target": "routes: [{id: a, path: /, target: 'http://u:S@h/x'}]",
    "a url where none belongs": "log: {level: 'redis://:S@h'}",
    "a token in the place of its hash": "admin: {listen: '127.0.0.1:1', tokens: [{name: a, hash: S}]}",
    "a field that cannot be sent": 'tracing: {otlp: {url: "http://h:1", headers: {authorization: "S\\x01"}}}',
    "a field of a health check": "upstreams: [{name: a, health_check: {headers: {authorization: S, 'b c': S}}}]",
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_refusal_shows_no_secret(load: Load, document: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document.replace("S", SECRET))

    assert SECRET not in caught.value.render()
    assert SECRET not in repr(caught.value.problems)


@given(st.text("abcXYZ0189-_.~%+/=!$", min_size=4, max_size=100).map(lambda text: f"Zq{text}"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_form_of_a_secret_is_shown(load: Load, secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"plugins:\n- {{name: auth, config: {{secret: '{secret}', algorithms: [HS999]}}, id: 5}}")

    assert secret not in caught.value.render()


def test_what_a_configuration_is_as_a_text_shows_no_plugin_config(load: Load) -> None:
    loaded = load(f"plugins: [{{name: auth, config: {{secret: {SECRET}}}}}]")

    assert SECRET not in repr(loaded)
    assert SECRET in str(list(loaded.to_lines()))
