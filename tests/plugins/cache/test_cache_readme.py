"""Every example of the README and of the guide is a configuration that the gateway takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from gateway_plugin_cache.config import CacheConfig, CollapseConfig, MemoryConfig, ValkeyOptions
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.plugins.cache.conftest import PLUGINS

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "plugins" / "cache" / "README.md", ROOT / "docs" / "caching.md"]
EXAMPLES = [text for page in PAGES for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_starts_and_caches(gateway: StartGateway, upstream: ScriptedUpstream, example: str) -> None:
    away = example.replace("valkey://127.0.0.1:6379/", "valkey://127.0.0.1:1/")  # not one that happens to be there
    document = yaml.safe_load(re.sub(r"http://127\.0\.0\.1:\d+", upstream.url, away))
    path = document["routes"][0].get("path_prefix", "/")
    running = gateway(document, plugins=PLUGINS)
    upstream.answer_with(200, "x", [("Cache-Control", "public, max-age=60")])

    replies = [running.get(path, headers={"X-Api-Key": "alice"}) for _ in range(2)]

    assert [reply.body for reply in replies] == [b"x", b"x"]
    assert len(upstream.requests) == 1


def test_the_readme_shows_every_option() -> None:
    [example] = [each for each in EXAMPLES if "id: everything" in each]
    config = yaml.safe_load(example)["routes"][0]["plugins"][0]["config"]

    assert config.keys() == CacheConfig.model_fields.keys()
    assert config["valkey"].keys() | {"tls"} == ValkeyOptions.model_fields.keys()
    assert config["collapse"].keys() == CollapseConfig.model_fields.keys()
    assert config["memory"].keys() == MemoryConfig.model_fields.keys()
