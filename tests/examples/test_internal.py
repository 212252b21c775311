"""examples/internal: certificates on both sides, tokens bound to them, rules by method."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.kit import PATIENCE
from tests.examples.kit import Example, stops

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    with Example("internal", tmp_path) as example:
        example.certificates("api", "gateway", "stock", "issuer", "shop", "report")
        example.port("PORT")
        port = example.port("SERVICE_PORT")
        example.service(str(example.folder / "service.py"), str(port), port=port)
        yield example


def call(example: Example, *arguments: str, script: str = "") -> str:
    command = ["-c", script] if script else ["client.py"]
    done = subprocess.run(
        [sys.executable, *command, example.environ["PORT"], *arguments],
        cwd=example.folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def test_programs_are_known_by_certificate_and_token(example: Example) -> None:
    gateway, _ = example.ready()

    assert call(example, "shop", "stock:read", "Get", "apples") == "3"
    assert call(example, "shop", "stock:write", "Put", "apples=7") == "stored"
    assert call(example, "report", "stock:read", "Get", "apples") == "7"
    assert "PERMISSION_DENIED" in call(example, "report", "stock:read", "Put", "apples=0")
    assert "NOT_FOUND" in call(example, "report", "stock:read", "Get", "pears")
    assert "UNIMPLEMENTED" in call(example, "report", "stock:read", "Other", "x")
    stolen = """if True:
        import client, sys
        print(client.call(int(sys.argv[1]), "report", client.token("shop", "stock:read"), "Get", "apples"))
    """
    assert "UNAUTHENTICATED" in call(example, script=stolen)
    stops(gateway)


def test_there_is_no_connection_without_a_certificate(example: Example) -> None:
    gateway, url = example.ready()

    with pytest.raises(httpx.TransportError):
        httpx.get(url.replace("127.0.0.1", "localhost"), verify=False)
    stops(gateway)
