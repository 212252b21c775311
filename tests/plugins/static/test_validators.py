from __future__ import annotations

import pytest
from gateway_plugin_sdk.conditions import Validators
from gateway_plugin_static.validators import validators_of

MODIFIED = 784_111_777
NONE = Validators(None, None, False)


def test_validators_are_made_of_size_and_time() -> None:
    made = validators_of(MODIFIED * 10**9 + 5, 16, MODIFIED + 100.0, etag="strong", has_modified=True)

    assert made == Validators(f'"{MODIFIED * 10**9 + 5:x}-10"', MODIFIED, True)
    assert made.last_modified == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_variant_has_another_etag() -> None:
    made = validators_of(MODIFIED * 10**9, 16, MODIFIED + 100.0, etag="strong", has_modified=True, coding="br")

    assert made.etag is not None
    assert made.etag.endswith('-br"')


@pytest.mark.parametrize(
    ("fraction", "age", "is_weak"), [(5, 0.01, True), (5, 0.1, False), (0, 0.1, True), (0, 3.0, False)]
)
def test_an_etag_is_weak_while_the_file_may_change_again_unseen(fraction: int, age: float, is_weak: bool) -> None:
    made = validators_of(MODIFIED * 10**9 + fraction, 1, MODIFIED + age, etag="strong", has_modified=True)

    assert made.etag is not None
    assert made.etag.startswith("W/") is is_weak


def test_times_that_mean_nothing_and_switched_off_validators_are_not_sent() -> None:
    for seconds in (0, 1, 315_532_800):
        assert validators_of(seconds * 10**9, 1, 1e9, etag="strong", has_modified=True) == NONE
    off = validators_of(MODIFIED * 10**9, 1, 1e9, etag="none", has_modified=False)
    assert (off.etag, off.last_modified) == (None, None)
    weak = validators_of(MODIFIED * 10**9, 1, 1e9, etag="weak", has_modified=True)
    assert weak.etag is not None
    assert weak.etag.startswith('W/"')


def test_last_modified_is_never_in_the_future() -> None:
    made = validators_of((MODIFIED + 1000) * 10**9, 1, float(MODIFIED), etag="strong", has_modified=True)

    assert made.modified == MODIFIED
    assert not made.is_modified_strong
