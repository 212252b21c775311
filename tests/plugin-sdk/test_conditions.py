from __future__ import annotations

import pytest
from gateway_plugin_sdk import Headers
from gateway_plugin_sdk.conditions import Validators, may_send_ranges, parse_date, verdict
from hypothesis import given
from hypothesis import strategies as st

MODIFIED = 784_111_777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
STRONG = Validators('"a-1"', MODIFIED, True)
WEAK = Validators('W/"a-1"', MODIFIED, True)
NONE = Validators(None, None, False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "send"),
        ({"If-Match": '"a-1"'}, "send"),
        ({"If-Match": "*"}, "send"),
        ({"If-Match": '"b", "a-1"'}, "send"),
        ({"If-Match": '"b"'}, "failed"),
        ({"If-Match": 'W/"a-1"'}, "failed"),
        ({"If-Match": "nonsense"}, "failed"),
        ({"If-None-Match": '"a-1"'}, "not-modified"),
        ({"If-None-Match": 'W/"a-1"'}, "not-modified"),
        ({"If-None-Match": '"x,y",W/"a-1"'}, "not-modified"),
        ({"If-None-Match": "*"}, "not-modified"),
        ({"If-None-Match": '"b"'}, "send"),
        ({"If-None-Match": "a-1"}, "send"),
        ({"If-Modified-Since": DATE}, "not-modified"),
        ({"If-Modified-Since": EARLIER}, "send"),
        ({"If-Modified-Since": "yesterday"}, "send"),
        ({"If-Unmodified-Since": DATE}, "send"),
        ({"If-Unmodified-Since": EARLIER}, "failed"),
        ({"If-Unmodified-Since": "yesterday"}, "send"),
        # The order of section 13.2.2.
        ({"If-Match": '"a-1"', "If-Unmodified-Since": EARLIER}, "send"),
        ({"If-None-Match": '"b"', "If-Modified-Since": DATE}, "send"),
        ({"If-Match": '"b"', "If-None-Match": '"a-1"'}, "failed"),
        ({"If-Match": '"a-1"', "If-None-Match": '"a-1"'}, "not-modified"),
        ({"If-Unmodified-Since": EARLIER, "If-None-Match": '"a-1"'}, "failed"),
    ],
)
def test_conditions_are_evaluated_in_the_order_of_the_rfc(fields: dict[str, str], expected: str) -> None:
    assert verdict(Headers(fields), STRONG) == expected


def test_a_weak_etag_never_matches_strongly() -> None:
    assert verdict(Headers({"If-Match": 'W/"a-1"'}), WEAK) == "failed"
    assert verdict(Headers({"If-Match": '"a-1"'}), WEAK) == "failed"
    assert verdict(Headers({"If-None-Match": '"a-1"'}), WEAK) == "not-modified"


def test_dates_that_come_twice_count_as_not_sent() -> None:
    assert verdict(Headers([("If-Modified-Since", DATE), ("If-Modified-Since", DATE)]), STRONG) == "send"


def test_a_file_without_validators_is_sent() -> None:
    fields = {"If-None-Match": '""', "If-Modified-Since": DATE, "If-Unmodified-Since": EARLIER}

    assert verdict(Headers(fields), NONE) == "send"
    assert verdict(Headers({"If-Match": '"a"'}), NONE) == "failed"


@pytest.mark.parametrize(
    ("value", "validators", "expected"),
    [
        ('"a-1"', STRONG, True),
        ('"b"', STRONG, False),
        ('W/"a-1"', WEAK, False),
        ('"a-1"', WEAK, False),
        (DATE, STRONG, True),
        (EARLIER, STRONG, False),
        ("Sun, 06 Nov 1994 08:49:38 GMT", STRONG, False),
        (DATE, Validators(None, MODIFIED, False), False),
        ("nonsense", STRONG, False),
        ('"a-1"', NONE, False),
    ],
)
def test_if_range_needs_a_strong_validator_that_is_the_same(value: str, validators: Validators, expected: bool) -> None:
    assert may_send_ranges(Headers({"If-Range": value}), validators) is expected


@pytest.mark.parametrize("value", [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_dates_are_read_in_the_three_forms(value: str) -> None:
    assert parse_date(value) == MODIFIED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Xyz 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "\u0660\u0666 Nov",
        f"{DATE} ",
    ],
)
def test_other_texts_are_no_dates(value: str) -> None:
    assert parse_date(value) is None


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    parse_date(text)
