from __future__ import annotations

import pytest
from gateway_core.errors import RefusedError
from gateway_core.process.plugin_descriptions import PluginDescriptions


async def test_a_plugin_is_described_by_a_process_of_its_own_once_for_each_version() -> None:
    descriptions = PluginDescriptions()

    found = await descriptions.get("headers")

    assert (found["name"], found["kind"], found["error"]) == ("headers", "plugin", None)
    assert found["schema"]["type"] == "object"
    assert await descriptions.get("headers") is found


@pytest.mark.parametrize("name", ["nothing", "--help", "../headers"])
async def test_only_installed_plugins_are_described(name: str) -> None:
    with pytest.raises(RefusedError, match="is installed") as refused:
        await PluginDescriptions().get(name)

    assert refused.value.status == 404
