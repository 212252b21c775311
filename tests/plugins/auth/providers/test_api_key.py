from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_auth import Auth, AuthConfig
from gateway_plugin_sdk.testing import InvalidConfigError


def provider(**options: Any) -> dict[str, Any]:
    keys = [
        {"subject": "phone", "key": "k-1", "claims": {"scope": "read write", "tier": "gold"}},
        {"subject": "robot", "sha256": hashlib.sha256(b"k-2").hexdigest().upper()},
    ]
    return {"providers": {"apps": {"scheme": "api-key", "keys": keys, **options}}}


async def test_keys_pass_and_name_the_caller(make_gate: Any) -> None:
    gate = await make_gate(provider())

    phone, robot = await gate.visit(headers={"X-API-Key": "k-1"}), await gate.visit(headers={"X-API-Key": "k-2"})

    assert (phone.status, phone.subject, phone.request.identity.scheme) == (200, "phone", "api-key")
    assert phone.request.identity.claims["tier"] == "gold"
    assert (robot.status, robot.subject) == (200, "robot")


@pytest.mark.parametrize("key", ["k-3", "K-1", "k-1x", "", "k" * 5000, "\xe9"])
async def test_other_keys_are_refused(make_gate: Any, key: str) -> None:
    gate = await make_gate(provider())

    visit = await gate.visit(headers={"X-API-Key": key})

    assert visit.status == 401
    assert visit.challenge == 'ApiKey realm="gateway"'


async def test_keys_are_found_in_each_configured_place_and_hidden(make_gate: Any) -> None:
    places = [{"header": "Authorization", "scheme": "Key"}, {"query": "api key"}, {"cookie": "key"}]
    gate = await make_gate(provider(key_from=places, hide_credentials=True))

    header = await gate.visit(headers={"Authorization": "key  k-1"})
    query = await gate.visit(target="/?a=%31&api+key=k%2D1&b")
    cookie = await gate.visit(headers={"Cookie": 'a=1; key="k-1"; b=2'})

    assert [visit.status for visit in (header, query, cookie)] == [200] * 3
    assert "authorization" not in header.request.headers
    assert query.request.query_string == "a=%31&b"
    assert cookie.request.headers["cookie"] == "a=1; b=2"


async def test_the_same_key_twice_is_ambiguous(make_gate: Any) -> None:
    gate = await make_gate(provider())

    assert (await gate.visit(headers=[("X-API-Key", "k-1"), ("x-api-key", "k-1")])).reason == "ambiguous"


async def test_a_key_ends_when_it_expires(make_gate: Any) -> None:
    keys = [{"subject": "a", "key": "k", "expires": "2023-11-14T22:13:30Z"}]
    gate = await make_gate(provider(keys=keys))

    assert (await gate.visit(headers={"X-API-Key": "k"})).status == 200
    gate.clock.advance(10)
    assert (await gate.visit(headers={"X-API-Key": "k"})).reason == "expired"


async def test_a_revoked_key_is_refused_wherever_else_it_is_given(make_gate: Any) -> None:
    revoked = {"subject": "a", "key": "k", "revoked": True, "expires": "2000-01-01T00:00:00Z"}
    for keys in ([revoked], [revoked, {"subject": "a", "key": "k"}], [{"subject": "a", "key": "k"}, revoked]):
        gate = await make_gate(provider(keys=keys))

        visit = await gate.visit(headers={"X-API-Key": "k"})

        assert (visit.status, visit.reason) == (401, "revoked")


@pytest.mark.parametrize(
    ("key", "reason", "detail"),
    [
        ("over", "expired", "key gw_1"),
        ("stolen", "revoked", "key gw_2"),
        ("old", "expired", "key of 'robot'"),
        ("other", "unknown-key", None),
    ],
)
async def test_a_refusal_names_reason_and_id_but_never_the_key(
    make_gate: Any, caplog: pytest.LogCaptureFixture, key: str, reason: str, detail: str | None
) -> None:
    caplog.set_level("INFO")
    entries = [
        {"subject": "phone", "id": "gw_1", "key": "over", "expires": "2000-01-01T00:00:00Z"},
        {"subject": "phone", "id": "gw_2", "key": "stolen", "revoked": True},
        {"subject": "robot", "key": "old", "expires": "2000-01-01T00:00:00Z"},
    ]
    gate = await make_gate(provider(keys=entries))

    visit = await gate.visit(headers={"X-API-Key": key})

    assert (visit.status, visit.reason) == (401, reason)
    assert visit.request.state.get("auth.refusal_detail") == detail
    counted = f'gateway_auth_refusals_total{{binding="auth",reason="{reason}",route="test"}} 1.0'
    assert counted in gate.metrics.exposition().decode()
    (line,) = [text for text in caplog.messages if "refused" in text]
    assert reason in line
    assert key not in line
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert digest[:8] not in line


async def test_the_id_of_a_key_is_a_claim_that_no_other_claim_replaces(make_gate: Any) -> None:
    entry = {"subject": "a", "id": "gw_1", "key": "k", "claims": {"key_id": "another"}}
    gate = await make_gate(provider(keys=[entry], claims_to_headers={"X-Key": "key_id"}))

    visit = await gate.visit(headers={"X-API-Key": "k"})

    assert visit.request.identity.claims["key_id"] == visit.request.headers["x-key"] == "gw_1"


async def test_rules_and_headers_apply_to_keys(make_gate: Any) -> None:
    gate = await make_gate(
        provider(
            scopes={"all": ["write"]}, claims_to_headers={"X-Tier": "tier", "X-App": "sub"}, identity_prefix="app:"
        )
    )

    phone, robot = await gate.visit(headers={"X-API-Key": "k-1"}), await gate.visit(headers={"X-API-Key": "k-2"})

    assert phone.subject == "app:phone"
    assert (phone.request.headers["x-tier"], phone.request.headers["x-app"]) == ("gold", "phone")
    assert (robot.status, robot.reason) == (403, "scope")


async def test_a_file_of_keys_is_read_again(make_gate: Any, tmp_path: Path, until: Any) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([{"subject": "car", "key": "k-9"}]))
    gate = await make_gate(provider(keys_file=str(path)))
    assert (await gate.visit(headers={"X-API-Key": "k-9"})).subject == "car"
    assert (await gate.visit(headers={"X-API-Key": "k-1"})).subject == "phone"

    path.write_text(json.dumps([{"subject": "bus", "key": "k-8"}]))
    gate.clock.advance(10)
    document = gate.plugin._providers["apps"]._document
    await gate.visit(headers={"X-API-Key": "k-1"})
    await until(lambda: document.loads == 2 and document._flight is None)

    assert (await gate.visit(headers={"X-API-Key": "k-8"})).subject == "bus"
    assert (await gate.visit(headers={"X-API-Key": "k-9"})).status == 401
    assert (await gate.visit(headers={"X-API-Key": "k-1"})).subject == "phone"


@pytest.mark.parametrize(
    "text",
    [
        None, "", "{}", '[{"subject":"a"}]', '[{"subject":"a","key":"hidden","x":1}]', "[" * 9999,
        '{"subject":"a","key":"hidden"}\n{"subject":"b","key":"hidden"}', '{"subject":"a","key":"hidden"}\n{',
    ],
)  # fmt: skip
async def test_a_file_that_is_not_of_keys_rejects_the_configuration_as_check_does(
    make_gate: Any, tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(InvalidConfigError, match=r"keys_file") as raised:
        await make_gate(provider(keys_file=str(path)))
    (finding,) = Auth.check_config(AuthConfig.model_validate(provider(keys_file=str(path))))
    assert finding.severity == "error"
    assert "hidden" not in caplog.text + str(raised.value) + finding.text


@pytest.mark.parametrize("header", ["", " ", None])
async def test_an_empty_field_does_not_hide_a_key_in_the_next_place(make_gate: Any, header: str | None) -> None:
    places = [{"header": "X-API-Key"}, {"cookie": "key"}, {"query": "key"}]
    provider = {"scheme": "api-key", "key_from": places, "keys": [{"subject": "a", "key": "k"}]}
    gate = await make_gate(providers={"apps": provider})
    fields = {} if header is None else {"X-API-Key": header}

    assert (await gate.visit(headers={**fields, "Cookie": "key=; x=y"}, target="/?key=k")).status == 200
    assert (await gate.visit(headers={**fields, "Cookie": "key=k"}, target="/?key=")).status == 200
    assert (await gate.visit(headers={**fields, "Cookie": "key=wrong"}, target="/?key=k")).status == 401


async def test_a_file_of_keys_that_is_gone_for_too_long_is_no_wrong_key(make_gate: Any, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text('[{"subject": "b", "key": "of-the-file"}]')
    keys = [{"subject": "a", "key": "own"}]
    gate = await make_gate(providers={"apps": {"scheme": "api-key", "keys": keys, "keys_file": str(path)}})
    assert (await gate.visit(headers={"X-API-Key": "of-the-file"})).status == 200

    path.unlink()
    gate.clock.advance(2 * 86400)

    assert (await gate.visit(headers={"X-API-Key": "of-the-file"})).status == 503
    assert (await gate.visit(headers={"X-API-Key": "own"})).status == 200
