from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from gateway_plugin_consul.access import AccessError, Token, check_address, tls_of
from gateway_plugin_consul.discovery import access_of
from gateway_plugin_consul.options import ConsulConfig


def test_a_token_comes_from_the_configuration_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environ = {"CONSUL_HTTP_TOKEN": "from-environment"}

    assert Token.of("given", "", environ).header() == {"X-Consul-Token": "given"}
    assert Token.of("", str(file), environ).header() == {"X-Consul-Token": "from-file"}
    assert Token.of("", "", environ).header() == {"X-Consul-Token": "from-environment"}
    assert Token.of("", "", {"CONSUL_HTTP_TOKEN_FILE": str(file)}).header() == {"X-Consul-Token": "from-file"}
    assert Token.of("", "", {}).header() == {}


def test_a_file_that_changed_is_another_token_and_one_that_is_gone_is_said(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    token = Token.of("", str(file), {})
    file.write_text("two")
    assert token.header() == {"X-Consul-Token": "two"}

    file.unlink()
    with pytest.raises(AccessError, match="cannot be read"):
        token.header()


def test_a_pipe_is_no_file_of_a_token(tmp_path: Path) -> None:
    """To read it would wait for a writer, and with it everything else that runs on the loop."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(AccessError, match=r"cannot be read: .*a pipe"):
        Token.of("", str(tmp_path / "pipe"), {}).header()


def test_a_token_is_not_shown() -> None:
    assert "word" not in repr(Token("word"))


@pytest.mark.parametrize("address", ["", "consul", "ftp://x", "http://", "http://x?y", "http://a:b@x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AccessError):
        check_address(address)


def test_an_address_may_have_a_path() -> None:
    assert check_address("https://proxy.test/consul/") == "https://proxy.test/consul"


def test_tls_is_that_of_the_system_unless_something_is_given(tmp_path: Path) -> None:
    assert tls_of("", "", "").context() is True
    unchecked = tls_of("", "", "", verify=False).context()
    assert isinstance(unchecked, ssl.SSLContext)
    assert unchecked.verify_mode is ssl.CERT_NONE

    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(AccessError, match="cannot be used"):
        tls_of(str(tmp_path / "ca.pem"), "", "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "of-the-environment"), ({"token": ""}, ""), ({"token": "given"}, "given")],
)
def test_an_empty_token_is_none_and_not_that_of_the_environment(options: dict[str, str], expected: str) -> None:
    """So a document of a source that may not use the environment has its token sent to no address."""
    config = ConsulConfig.model_validate({"service": "users", "address": "http://10.0.0.1:8500", **options})

    access = access_of(config, {"CONSUL_HTTP_TOKEN": "of-the-environment"})

    assert access.token.header() == ({"X-Consul-Token": expected} if expected else {})
