from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.cli.replay_credentials import check_confidential, read_credentials, with_credentials
from gateway_core.errors import GatewayError


def test_each_line_of_the_file_is_a_field(tmp_path: Path) -> None:
    file = tmp_path / "fields"
    file.write_text("# of the test user\nAuthorization: Bearer a:b \n\nx-tenant:\tacme\r\n")

    assert read_credentials(file) == {"Authorization": "Bearer a:b", "x-tenant": "acme"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3cret", "line 1 is no header"),
        ("A: b\nX Y: s3cret", "line 2 is no header"),
        ("A:", "line 1 is no header"),
        ("A: s3cret\x00", "line 1 is no header"),
        ("Host: s3cret", "line 1: Host is not for credentials"),
        ("A: b\na: s3cret", "line 2: a is there twice"),
        ("A: " + "s" * 70000, "larger than 64 KiB"),
    ],
)
def test_what_is_no_field_is_refused_without_its_value(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "fields"
    file.write_text(text)

    with pytest.raises(GatewayError, match=why) as error:
        read_credentials(file)
    assert "s3cret" not in str(error.value)


def test_credentials_are_sent_by_https_or_on_this_machine_alone() -> None:
    for url in ("https://gw.test", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"):
        check_confidential(url)
    with pytest.raises(GatewayError, match=r"not sent to gw\.test over plain HTTP"):
        check_confidential("http://gw.test:8080")


def test_credentials_take_the_place_of_recorded_fields() -> None:
    recorded = {"X-Tenant": "recorded", "Accept": "text/html"}

    assert with_credentials(recorded, {"x-tenant": "acme"}) == {"Accept": "text/html", "x-tenant": "acme"}
