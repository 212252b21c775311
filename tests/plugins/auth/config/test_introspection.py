from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import IntrospectionProvider
from pydantic import ValidationError

CLIENT = {"client_id": "gateway", "client_secret": "s3cret"}
URL = "https://login.example.com/introspect"


def provider(**options: Any) -> IntrospectionProvider:
    return IntrospectionProvider.model_validate({"scheme": "introspection", **options})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({**CLIENT}, "exactly one of endpoint and target"),
        ({**CLIENT, "endpoint": URL, "target": "login"}, "exactly one of endpoint and target"),
        ({**CLIENT, "endpoint": URL, "path": "/x"}, "path goes with target"),
        ({**CLIENT, "endpoint": "http://login.example.com/"}, "not encrypted.*set allow_http"),
        ({**CLIENT, "target": "http://login.example.com"}, "not encrypted"),
        ({**CLIENT, "endpoint": "https://a:b@login.example.com/"}, "has a user"),
        ({**CLIENT, "endpoint": URL + "#x"}, "fragment"),
        ({**CLIENT, "endpoint": URL + "/\xfc"}, "percent-encode"),
        ({**CLIENT, "endpoint": "login.example.com"}, "is not a URL"),
        ({"endpoint": URL}, "needs client_id"),
        ({"endpoint": URL, "client_id": "a"}, "needs client_secret"),
        ({"endpoint": URL, **CLIENT, "client_auth": "none"}, "does not go with"),
        ({"endpoint": URL, **CLIENT, "client_auth": "private_key_jwt"}, "does not go with"),
        ({"endpoint": URL, "client_id": "a", "client_auth": "private_key_jwt"}, "client_key"),
        ({"endpoint": URL, **CLIENT, "client_key": {"file": __file__}}, "go together"),
        ({"endpoint": URL, **CLIENT, "client_secret_file": __file__}, "give one of them"),
        ({"endpoint": URL, **CLIENT, "headers": {"authorization": "Bearer x"}}, "set client_auth: none"),
        ({"endpoint": URL, **CLIENT, "timeout": 0}, "greater than 0"),
        ({"endpoint": URL, **CLIENT, "max_concurrent": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as raised:
        provider(**options)
    assert "s3cret" not in str(raised.value).replace("client_secret", "")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"endpoint": URL}, ("https://login.example.com", "/introspect")),
        ({"endpoint": "https://login.example.com:8443/a?b=c"}, ("https://login.example.com:8443", "/a?b=c")),
        ({"endpoint": "https://[2001:db8::1]"}, ("https://[2001:db8::1]", "/")),
        ({"target": "login"}, ("login", "/introspect")),
        ({"target": "http://127.0.0.1:9", "path": "/x"}, ("http://127.0.0.1:9", "/x")),
        ({"endpoint": "http://keycloak:8080/x", "allow_http": True}, ("http://keycloak:8080", "/x")),
    ],
)
def test_the_endpoint_is_taken_apart(options: dict[str, Any], place: tuple[str, str]) -> None:
    assert provider(**CLIENT, **options).place() == place


def test_providers_share_responses_only_if_they_ask_in_the_same_way() -> None:
    first = provider(**CLIENT, endpoint=URL, audience="a")

    assert first.asked_alike() == provider(**CLIENT, endpoint=URL, audience="b").asked_alike()
    for other in (
        {**CLIENT, "endpoint": URL + "2"},
        {**CLIENT, "endpoint": URL, "client_secret": "other"},
        {**CLIENT, "endpoint": URL, "client_auth": "post"},
        {**CLIENT, "endpoint": URL, "headers": {"X-Tenant": "a"}},
        {**CLIENT, "endpoint": URL, "cache": {"max_age": "5s"}},
    ):
        assert first.asked_alike() != provider(**other).asked_alike()


def test_no_secret_is_shown() -> None:
    assert "s3cret" not in repr(provider(**CLIENT, endpoint=URL, headers={"X-Key": "s3cret"}))
