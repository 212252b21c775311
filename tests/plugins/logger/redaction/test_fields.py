from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.open_sinks import make_forms

SECRETS = {
    "Authorization": "Bearer SECRET-1",
    "Proxy-Authorization": "Basic SECRET-2",
    "Cookie": "session=SECRET-3; theme=SECRET-3b",
    "X-Api-Key": "SECRET-4",
    "Referer": "https://x/?token=SECRET-5",
    "X-Tenant": "acme",
}
EVERYTHING = [
    "headers", "response_headers", "target", "path", "query", "query_params", "referer", "header:authorization",
    "header:Cookie", "header:x-api-key", "header:referer", "cookie:session", "query:access_token",
    "response_header:set-cookie", "response_header:location",
]  # fmt: skip


def line_of(make_event: Any, **config: Any) -> str:
    event = make_event(
        "/a?access_token=SECRET-6&page=2",
        headers=SECRETS,
        response_headers={"Set-Cookie": "session=SECRET-7", "Location": "/next?code=SECRET-8"},
    )
    return make_forms(LoggerConfig.model_validate(config)).line(*event)


@pytest.mark.parametrize("form", ["json", "logfmt", "combined", " ".join(f"{{{name}}}" for name in EVERYTHING)])
def test_no_credential_is_logged_unless_asked_for(form: str, make_event: Any) -> None:
    line = line_of(make_event, format=form, fields=EVERYTHING)

    assert "SECRET" not in line
    assert "REDACTED" in line


def test_a_credential_that_is_asked_for_is_shown_and_the_others_stay_hidden(make_event: Any) -> None:
    shown = ["header:X-Api-Key", "cookie:theme", "query:access_token"]
    fields = ["headers", "header:x-api-key", "cookie:theme", "cookie:session", "query", "query:access_token"]

    line = json.loads(line_of(make_event, fields=fields, redact={"show": shown}))

    assert line["headers"]["x-api-key"] == line["header:x-api-key"] == "SECRET-4"
    assert line["cookie:theme"] == "SECRET-3b"
    assert line["query"] == "access_token=SECRET-6&page=2"
    assert line["query:access_token"] == "SECRET-6"
    assert line["headers"]["authorization"] == line["cookie:session"] == "REDACTED"


def test_a_star_shows_all_credentials(make_event: Any) -> None:
    line = json.loads(line_of(make_event, fields=["headers", "cookie:session"], redact={"show": ["*"]}))

    assert line["headers"]["authorization"] == "Bearer SECRET-1"
    assert line["cookie:session"] == "SECRET-3"


def test_rules_change_fields_in_every_form(make_event: Any) -> None:
    redact = {
        "hash_key": "k",
        "rules": [
            {"action": "mask_ip", "fields": ["client_ip"], "ipv4": 16},
            {"action": "hash", "fields": ["identity"]},
            {"action": "delete", "fields": ["user_agent", "header:x-tenant"]},
            {"action": "replace", "fields": ["path"], "pattern": "a", "replacement": "b"},
            {"action": "replace", "fields": ["status"], "replacement": "?"},
        ],
    }
    fields = ["client_ip", "identity", "user_agent", "path", "status", "headers", "header:x-tenant"]

    line = json.loads(line_of(make_event, fields=fields, redact=redact))
    text = line_of(make_event, format="{client_ip} {identity} {path} {user_agent}", redact=redact)

    assert (line["client_ip"], line["path"], line["status"]) == ("203.0.0.0", "/b", "?")
    assert line["identity"] != "alice"
    assert not {"user_agent", "header:x-tenant"} & set(line)
    assert "x-tenant" not in line["headers"]
    assert text == f"203.0.0.0 {line['identity']} /b -\n"


def test_a_rule_for_every_field_reaches_texts_in_objects_and_leaves_numbers(make_event: Any) -> None:
    redact = {"rules": [{"action": "replace", "fields": ["*"], "pattern": "acme", "replacement": "?"}]}

    line = json.loads(line_of(make_event, fields=["headers", "status", "header:x-tenant"], redact=redact))

    assert line["headers"]["x-tenant"] == line["header:x-tenant"] == "?"
    assert line["status"] == 200


def test_the_list_of_hidden_parameters_can_be_changed(make_event: Any) -> None:
    line = json.loads(line_of(make_event, fields=["query", "query_params"], redact={"query": ["page"]}))

    assert line["query"] == "access_token=SECRET-6&page=REDACTED"
    assert line["query_params"] == {"access_token": "SECRET-6", "page": "REDACTED"}


@pytest.mark.parametrize(
    "name",
    [
        "x_api_key", "X-Authorization", "Authentication", "Private-Token", "JOB-TOKEN", "X-Session-Id", "Cookie2",
        "Cf-Access-Jwt-Assertion", "X-Goog-Iap-Jwt-Assertion", "X-Amzn-Oidc-Data", "X-Ms-Token-Aad-Access-Token",
        "Ocp-Apim-Subscription-Key", "X-Client-Secret", "X_Forwarded_Access_Token", "DPoP",
    ],
)  # fmt: skip
def test_a_field_that_carries_credentials_is_hidden_by_any_of_its_names(name: str, make_event: Any) -> None:
    event = make_event("/", headers={name: "SECRET"})

    line = make_forms(LoggerConfig.model_validate({"fields": ["headers", f"header:{name}"]})).line(*event)

    assert "SECRET" not in line
    assert json.loads(line)["headers"][name.lower()] == "REDACTED"


@pytest.mark.parametrize(
    "name",
    ["x-ratelimit-remaining-tokens", "idempotency-key", "sec-websocket-key", "authority", "x-tenant", "cookies-ok"],
)
def test_a_field_whose_name_only_looks_like_it_is_logged(name: str, make_event: Any) -> None:
    event = make_event("/", headers={name: "value"})

    assert json.loads(make_forms(LoggerConfig.model_validate({"fields": ["headers"]})).line(*event))["headers"] == {
        name: "value"
    }


@pytest.mark.parametrize("field", ["response_header:location", "response_headers"])
def test_the_state_of_a_login_is_hidden_in_its_redirect_and_other_states_are_not(field: str, make_event: Any) -> None:
    def logged(**redact: Any) -> str:
        event = make_event("/issues?state=open", response_headers={"Location": "https://a/login?state=s1&nonce=n1"})
        config = {"format": "json", "fields": ["target", field], "redact": redact}
        return str(make_forms(LoggerConfig.model_validate(config)).line(*event))

    assert "/issues?state=open" in logged()
    assert "login?state=REDACTED&nonce=REDACTED" in logged()
    assert "login?state=s1&nonce=REDACTED" in logged(show=["query:state"])
    assert "login?state=s1&nonce=n1" in logged(query=[])
