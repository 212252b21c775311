"""Every example of the README and of the guide is a configuration that the gateway takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.plugins.cache.conftest import PLUGINS

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "plugins" / "cache" / "README.md", ROOT / "docs" / "caching.md"]
EXAMPLES = [text for page in PAGES for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_starts_and_caches(gateway: StartGateway, upstream: ScriptedUpstream, example: str) -> None:
    document = yaml.safe_load(re.sub(r"http://127\.0\.0\.1:\d+", upstream.url, example))
    path = document["routes"][0].get("path_prefix", "/")
    running = gateway(document, plugins=PLUGINS)
    upstream.answer_with(200, "x", [("Cache-Control", "public, max-age=60")])

    replies = [running.get(path, headers={"X-Api-Key": "alice"}) for _ in range(2)]

    assert [reply.body for reply in replies] == [b"x", b"x"]
    assert len(upstream.requests) == 1
