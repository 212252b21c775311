"""The source of docs/certificates.md passes the page's tests and serves a listener with the page's configuration."""

from __future__ import annotations

import inspect
import socket
import ssl
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import yaml
from gateway_core.testing import RunningGateway, ScriptedUpstream, eventually

from tests.core.process import certificates
from tests.docs.blocks import blocks_of

BLOCKS = blocks_of(Path(__file__).parents[2] / "docs" / "certificates.md")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's Python as one module."""
    module = ModuleType("certificates_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in BLOCKS:
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), module.__dict__)
    return module


def test_its_tests_pass(page: ModuleType, request: pytest.FixtureRequest) -> None:
    tests = [each for name, each in vars(page).items() if name.startswith("test_") and isinstance(each, FunctionType)]

    for test in tests:
        test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})

    assert len(tests) == 2


def test_its_configuration_serves_what_is_in_the_folder(
    page: ModuleType, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    pair = certificates.make(tmp_path, "example.com")
    folder = tmp_path / "bundles"
    folder.mkdir()
    (folder / "example.com.pem").write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    config: dict[str, Any] = yaml.safe_load(next(block.text for block in BLOCKS if block.language == "yaml"))
    config["listen"]["address"] = "127.0.0.1:0"
    config["listen"]["tls"]["certificates"][0]["config"]["folder"] = str(folder)
    config["routes"] = [{"path_prefix": "/", "target": upstream.url}]
    page.Extension.name = "pem-bundles"  # what the entry point's name is for an extension that is installed

    with RunningGateway(config, plugins=[page.Extension]) as running:
        assert eventually(lambda: shown(running.port)) == ssl.PEM_cert_to_DER_cert(pair.cert.read_text())


def shown(port: int) -> bytes | None:
    """Return the certificate that a client is shown for example.com; None as long as there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="example.com") as secure:
                return secure.getpeercert(binary_form=True)
        except (ssl.SSLError, ConnectionError):
            return None
