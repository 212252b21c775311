from __future__ import annotations

from pathlib import Path

import click
import pytest
from gateway_core.cli.client_token import client_token, is_loopback
from gateway_core.cli.control_client import AdminClient, NoGatewayError, client_of
from gateway_core.errors import GatewayError


def test_a_token_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("gwa_file\n")

    assert client_token({}) is None
    assert client_token({"GATEWAY_TOKEN": " gwa_a\n"}) == "gwa_a"
    assert client_token({"GATEWAY_TOKEN_FILE": str(file)}) == "gwa_file"
    assert client_token({"GATEWAY_TOKEN": "gwa_a", "GATEWAY_TOKEN_FILE": str(file)}) == "gwa_a"


@pytest.mark.parametrize(
    "environ", [{"GATEWAY_TOKEN": "two words"}, {"GATEWAY_TOKEN": "\u00e4"}, {"GATEWAY_TOKEN_FILE": "/nowhere"}]
)
def test_what_is_no_token_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(GatewayError):
        client_token(environ)


@pytest.mark.parametrize(
    ("host", "is_it"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("a.test", False)]
)
def test_loopback(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it


def test_a_token_is_sent_over_tls_or_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "gwa_a")

    assert client_of((), None, "https://gw.test") == AdminClient(("gw.test", 443), "gwa_a", has_tls=True)
    assert client_of((), None, "127.0.0.1:9090") == AdminClient(("127.0.0.1", 9090), "gwa_a")
    assert "gwa_a" not in repr(client_of((), None, "127.0.0.1:9090"))
    with pytest.raises(NoGatewayError, match=r"not sent to gw\.test over plain HTTP"):
        client_of((), None, "http://gw.test")
    with pytest.raises(click.BadParameter):
        client_of((), None, "ftp://gw.test")
