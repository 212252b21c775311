from __future__ import annotations

import json

import pytest
from gateway_core.config.codes import CODES
from gateway_core.events import EVENTS
from gateway_core.reasons import REASONS

from tests.core.cli.conftest import Invoke


@pytest.mark.parametrize("code", sorted({*CODES, *REASONS, *EVENTS}))
def test_every_code_is_explained_with_what_to_do(invoke: Invoke, code: str) -> None:
    result = invoke("explain", code)

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{code} (")
    assert len(result.stdout.splitlines()) >= 3


def test_all_codes_are_listed(invoke: Invoke) -> None:
    listed = [entry["code"] for entry in json.loads(invoke("explain", "--json").stdout)]

    assert listed == [*CODES, *REASONS, *EVENTS]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("upstream.unknwon", 'did you mean "upstream.unknown"?'),
        ("auth.file-missing", "a code of the plugin auth"),
        ("zzz", "run gateway explain"),
    ],
)
def test_a_code_that_is_none_exits_with_1_and_says_what_helps(invoke: Invoke, code: str, said: str) -> None:
    result = invoke("explain", code)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
