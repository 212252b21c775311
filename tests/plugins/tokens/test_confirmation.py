from __future__ import annotations

from typing import Any

import pytest
from gateway_tokens.confirmation import (
    Confirmation,
    UnknownConfirmationError,
    certificate_thumbprint,
    read_confirmation,
)

THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_token_without_cnf_is_bound_to_nothing() -> None:
    assert read_confirmation({"sub": "a"}) is None


def test_a_token_may_be_bound_to_a_key_a_certificate_or_both() -> None:
    assert read_confirmation({"cnf": {"jkt": THUMBPRINT}}) == Confirmation(key=THUMBPRINT)
    assert read_confirmation({"cnf": {"x5t#S256": THUMBPRINT}}) == Confirmation(certificate=THUMBPRINT)
    both = read_confirmation({"cnf": {"jkt": THUMBPRINT, "x5t#S256": THUMBPRINT}})
    assert both == Confirmation(THUMBPRINT, THUMBPRINT)


@pytest.mark.parametrize(
    "cnf",
    [None, "", "jkt", [], [THUMBPRINT], 0, True, {}, {"jkt": None}, {"jkt": ""}, {"jkt": THUMBPRINT[:-1]},
     {"jkt": THUMBPRINT + "="}, {"jkt": THUMBPRINT[:-1] + "J"}, {"jkt": [THUMBPRINT]}, {"jwk": {"kty": "EC"}},
     {"kid": "1"}, {"x5t": THUMBPRINT}, {"JKT": THUMBPRINT}, {"jkt": THUMBPRINT, "kid": "1"}, {"": THUMBPRINT}],
)  # fmt: skip
def test_what_is_not_known_is_refused_and_never_ignored(cnf: Any) -> None:
    with pytest.raises(UnknownConfirmationError):
        read_confirmation({"cnf": cnf})


def test_the_thumbprint_of_a_certificate_is_that_of_its_der() -> None:
    assert certificate_thumbprint(b"") == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
