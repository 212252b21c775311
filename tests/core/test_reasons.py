from __future__ import annotations

import pytest
from gateway_core import reasons
from gateway_core.errors import GatewayError, UpstreamError


def test_every_constant_is_a_code_of_the_table() -> None:
    constants = {name: value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}

    assert sorted(constants.values()) == sorted(reasons.REASONS)


@pytest.mark.parametrize("code", ["upstream.reset", "a-b", "x_9.y"])
def test_codes_of_plugins_look_like_ours(code: str) -> None:
    assert reasons.REASON.fullmatch(code)
    assert not reasons.REASON.fullmatch(code.upper())
    assert not reasons.REASON.fullmatch(f"9{code}")


def test_an_upstream_error_has_status_and_reason() -> None:
    error = UpstreamError("endpoint a: no response", status=504, reason=reasons.TIMEOUT)

    assert isinstance(error, GatewayError)
    assert (error.status, error.reason, str(error)) == (504, "upstream.timeout", "endpoint a: no response")
    assert UpstreamError("x", reason=reasons.RESET).status == 502
