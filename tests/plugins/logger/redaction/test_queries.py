from __future__ import annotations

from urllib.parse import parse_qsl, quote_plus

import pytest
from gateway_plugin_logger.redaction.queries import SECRET_PARAMETERS, make_query_mask, make_url_mask
from hypothesis import given
from hypothesis import strategies as st

mask = make_query_mask(SECRET_PARAMETERS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&b=2", "a=1&b=2"),
        ("token=abc", "token=REDACTED"),
        ("a=1&access_token=x&b=2", "a=1&access_token=REDACTED&b=2"),
        ("TOKEN=x;sig=y", "TOKEN=REDACTED;sig=REDACTED"),
        ("%74oken=x", "%74oken=REDACTED"),
        ("token+=x", "token+=REDACTED"),
        ("token=", "token="),
        ("token", "token"),
        ("tokens=x", "tokens=x"),
        ("token=a=b", "token=REDACTED"),
        ("", ""),
    ],
)
def test_values_of_secret_parameters_are_hidden_however_the_name_is_written(query: str, expected: str) -> None:
    assert mask(query) == expected


@given(st.lists(st.tuples(st.sampled_from(["token", "Token", "a", "x y"]), st.text(max_size=8)), max_size=5))
def test_no_secret_value_survives_and_all_others_do(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)

    hidden = parse_qsl(mask(query), keep_blank_values=True)

    assert hidden == [
        (name, "REDACTED" if name.lower() == "token" and quote_plus(value) else value) for name, value in pairs
    ]


def test_a_star_hides_every_value_and_no_names_hide_none() -> None:
    assert make_query_mask(["*"])("a=1&b=2") == "a=REDACTED&b=REDACTED"
    assert make_query_mask([])("token=1") == "token=1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x/cb?code=1&state=2", "https://x/cb?code=REDACTED&state=2"),
        ("https://x/#access_token=1&a=2", "https://x/#access_token=REDACTED&a=2"),
        ("https://joe:pw@x/a?b=1", "https://joe:REDACTED@x/a?b=1"),
        ("/a?token=1", "/a?token=REDACTED"),
        ("/a@b:c", "/a@b:c"),
        ("", ""),
    ],
)
def test_urls_hide_parameters_in_query_and_fragment_and_passwords(url: str, expected: str) -> None:
    assert make_url_mask(SECRET_PARAMETERS)(url) == expected


@pytest.mark.parametrize(
    "name", ["access-token", "Access%5FToken", "API-KEY", "pwd", "SAMLResponse", "X_Amz_Signature"]
)
def test_a_dash_is_an_underscore_in_names_of_parameters(name: str) -> None:
    assert make_query_mask(SECRET_PARAMETERS)(f"{name}=s") == f"{name}=REDACTED"
