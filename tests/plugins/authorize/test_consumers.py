from __future__ import annotations

import pytest
from gateway_plugin_authorize.consumers import ConsumersError, read_consumers
from gateway_plugin_sdk import Identity

ISSUED = """
consumers:
  - name: any issuer
    credentials: [{scheme: jwt, subject: a}]
  - name: one issuer
    groups: [g]
    credentials: [{scheme: jwt, subject: a, issuer: "https://i"}, {scheme: api-key, subject: b}]
"""


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (Identity("a", "jwt"), "any issuer"),
        (Identity("a", "jwt", {"iss": "https://i"}), "one issuer"),
        (Identity("a", "jwt", {"iss": "https://other"}), "any issuer"),
        (Identity("b", "api-key"), "one issuer"),
        (Identity("b", "jwt"), None),
        (Identity("a", "basic"), None),
    ],
)
def test_a_consumer_is_found_by_scheme_subject_and_issuer(identity: Identity, name: str | None) -> None:
    consumer = read_consumers(ISSUED).find(identity)

    assert (consumer.name if consumer else None) == name


def test_json_is_yaml() -> None:
    text = '{"consumers": [{"name": "a", "credentials": [{"scheme": "jwt", "subject": "b"}]}]}'

    assert read_consumers(text).names == {"a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no consumers"),
        ("- a", "has no consumers"),
        ("consumers: 1", "consumers: "),
        ("consumers: [{name: a}]", "consumers[0].credentials: field required"),
        ("consumers: [{name: a, credentials: []}]", "consumers[0].credentials"),
        ("consumers: [{name: a, credentials: [{scheme: jwt}]}]", "consumers[0].credentials[0].subject"),
        ("consumers: [{name: a, credentials: [{scheme: jwt, subject: 1}]}]", "consumers[0].credentials[0].subject"),
        ("consumers: [{name: a, key: b}]", "consumers[0]"),
        ('consumers: [{name: "a\\r\\nb", credentials: [{scheme: jwt, subject: a}]}]', "consumers[0].name"),
        ("consumers: [", "line 1: is not YAML"),
        ("a: 1\nconsumers: []\nconsumers: []", "line 3: the key 'consumers' comes twice"),
        ("[" * 5000, "is not YAML"),
        (ISSUED + "  - {name: any issuer, credentials: [{scheme: x, subject: y}]}", "consumers[2]: the name"),
        (ISSUED + "  - {name: c, credentials: [{scheme: jwt, subject: a}]}", "jwt:a identifies another consumer"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(ConsumersError) as caught:
        read_consumers(text)

    assert message in str(caught.value)
