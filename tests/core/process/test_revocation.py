from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_core.process.revocation import NotARevocationListError, revocation_lists
from hypothesis import given
from hypothesis import strategies as st

from tests.core.process.certificates import Authority


@pytest.mark.parametrize("year", [2020, 2049, 2050, 2099])
def test_tells_until_when_each_list_is_valid(tmp_path: Path, year: int) -> None:
    authority = Authority(tmp_path / "authority")
    authority.publish(f"{year}0102030405Z")
    pem = authority.crl.read_bytes()
    end = datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert revocation_lists(pem) == [end]
    assert revocation_lists(pem + b"\n" + pem) == [end, end]


def test_a_text_without_a_list_is_refused() -> None:
    with pytest.raises(NotARevocationListError):
        revocation_lists(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@given(st.text("ABCDefgh0123+/= \n", max_size=80))
def test_a_broken_list_is_refused_whatever_is_in_it(text: str) -> None:
    pem = b"-----BEGIN X509 CRL-----" + text.encode() + b"-----END X509 CRL-----"

    try:
        revocation_lists(pem)
    except NotARevocationListError:
        return
