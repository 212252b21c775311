"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_static import Static
from gateway_plugin_static.config import CacheRule, StaticConfig

README = Path(__file__).parents[3] / "plugins" / "static" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.in_turn
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_serves_its_files(gateway: Any, example: str, tmp_path: Path) -> None:
    document = yaml.safe_load(example)
    document.pop("listen", None)
    (tmp_path / "errors").mkdir()
    for name in ("index.html", "errors/404.html"):
        (tmp_path / name).write_text("a page")
    prefixes = []
    for route in document["routes"]:
        for binding in route.get("plugins", ()):
            binding["config"]["root"] = str(tmp_path)
            prefixes.append(route["path_prefix"])

    running = gateway(document, plugins=[Static])

    assert [running.get(f"{prefix}/index.html".replace("//", "/")).body for prefix in prefixes] == [b"a page"]


def test_every_option_is_in_an_example() -> None:
    names = [name for model in (StaticConfig, CacheRule) for name in model.model_fields]

    assert [name for name in names if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
