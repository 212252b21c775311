"""The README's examples load, and it tells every option."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_auth.config import (
    AlbOptions,
    ApiKeyEntry,
    ApiKeyProvider,
    AuthConfig,
    BasicProvider,
    BasicUser,
    CacheOptions,
    ClaimRule,
    IntrospectionCache,
    IntrospectionProvider,
    RevocationOptions,
    SourceConfig,
)
from gateway_plugin_auth.config.possession import DpopOptions, MtlsOptions, StepUpOptions, ValkeyOptions
from gateway_plugin_auth.config.resource import ResourceOptions
from gateway_tokens.fetch import FetchOptions

from tests.docs.blocks import blocks_of
from tests.docs.session import Session

README = Path(__file__).parents[3] / "plugins" / "auth" / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, write_certificate: Any, keys: Any) -> Path:
    """What the examples have in /etc/gateway."""
    certificate, key = write_certificate(tmp_path)
    for name in ("ca.pem", "client.pem"):
        (tmp_path / name).write_bytes(certificate.read_bytes())
    (tmp_path / "client.key").write_bytes(key.read_bytes())
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [keys.jwk(keys.p256)]}))
    (tmp_path / "api-keys").write_text('{"subject": "robot-2", "key": "k2"}')
    (tmp_path / "htpasswd").write_text("carol:$2y$04$gbwwPMCDAuyZ1jHeWn3Zw.LjHB4dPYaX1UutwHJ9N9fWpAwwqZGb2\n")
    (tmp_path / "introspection.pem").write_bytes(key.read_bytes())
    (tmp_path / "revoked").write_text("jti:1\n")
    return tmp_path


def test_every_example_loads(tmp_path: Path, folder: Path) -> None:
    routes = []
    for number, block in enumerate(BLOCKS):
        binding = "".join(f"      {line}\n" for line in block.splitlines())
        head = f"  - id: r{number}\n    path: /r{number}\n    target: http://127.0.0.1:9\n    plugins:\n"
        routes.append(head + binding)
    path = tmp_path / "gateway.yaml"
    path.write_text("routes:\n" + "".join(routes).replace("/etc/gateway", str(folder)), encoding="utf-8")
    environment = {**os.environ, "JWT_SECRET": "c2VjcmV0" * 20, "PHONE_KEY": "k", "INTROSPECTION_SECRET": "s"}

    command = [sys.executable, "-m", "gateway_core.cli", "check", "-c", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(BLOCKS) > 15


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_commands_of_api_keys_do_what_is_shown(tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(README) if block.language in {"sh", "text"}]
    assert len(blocks) == 4

    with Session(tmp_path, []) as session:
        session.try_page([replace(block, text=block.text.replace("/etc/gateway", ".")) for block in blocks])

    assert (tmp_path / "phone.key").read_text().startswith("gw_")
    assert json.loads((tmp_path / "robot.json").read_text())["subject"] == "robot"


@pytest.mark.parametrize(
    "model",
    [
        AlbOptions, AuthConfig, ApiKeyProvider, BasicProvider, ApiKeyEntry, BasicUser, CacheOptions, ClaimRule,
        FetchOptions, IntrospectionCache, IntrospectionProvider, RevocationOptions, SourceConfig, DpopOptions,
        MtlsOptions, StepUpOptions, ResourceOptions, ValkeyOptions,
    ],
)  # fmt: skip
def test_every_option_is_told(model: type[AuthConfig]) -> None:
    missing = [name for name in model.model_fields if not re.search(rf"\b{name}\b", TEXT)]

    assert not missing


def test_every_code_is_told() -> None:
    source = (README.parent / "src" / "gateway_plugin_auth" / "findings.py").read_text()

    for code in set(re.findall(r'"((?:weak|unusable|file)-[a-z]+)"', source)):
        assert f"`auth.{code}`" in TEXT


def test_every_reason_is_told() -> None:
    folders = (README.parent, README.parents[1] / "tokens")
    source = "".join(path.read_text() for folder in folders for path in (folder / "src").rglob("*.py"))
    patterns = r'(?:Refusal|unavailable|ProofError|_bad_proof)\("([a-z-]+)"', r'return "([a-z-]+)"', r'"(dpop-[a-z]+)"'
    reasons = {reason for pattern in patterns for reason in re.findall(pattern, source)}
    reasons -= {"unsettled", "name"}  # cannot happen; not a reason

    assert len(reasons) > 20
    assert not [reason for reason in reasons if f"`{reason}`" not in TEXT]
