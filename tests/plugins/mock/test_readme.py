"""What the README says happens, and every option is in an example."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_mock import Mock
from gateway_plugin_mock.config import DelayConfig, MockConfig, ResponseConfig

pytestmark = pytest.mark.in_turn

README = Path(__file__).parents[3] / "plugins" / "mock" / "README.md"
DOCUMENT, FIRST, SECOND = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
SESSION = re.findall(r"\$ (curl .*)\n(.*)\n", README.read_text())


def test_the_session_happens_as_it_is_shown(gateway: Any, tmp_path: Path) -> None:
    (tmp_path / "petstore.yaml").write_text(DOCUMENT)
    document = yaml.safe_load(FIRST)
    document.pop("listen")
    document["routes"][0]["plugins"][0]["config"]["openapi"] = str(tmp_path / "petstore.yaml")
    running = gateway(document, plugins=[Mock])

    assert SESSION
    for command, shown in SESSION:
        *options, url = shlex.split(command)[1:]
        fields = dict(each.split(": ") for each in options if ": " in each)
        response = running.get(url.removeprefix("http://127.0.0.1:8080"), headers=fields)
        assert response.text == shown


def test_the_other_example_loads_and_responds(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    document = yaml.safe_load(SECOND)
    document["routes"][0]["target"] = upstream.url
    document["routes"][0]["plugins"][0]["config"]["responses"][3]["file"] = str(tmp_path / "logo.svg")
    running = gateway(document, plugins=[Mock])

    logo, order = running.get("/shop/logo.svg"), running.post("/shop/orders", json={})

    assert (logo.body, logo.headers["Content-Type"]) == (b"<svg/>", "image/svg+xml")
    assert (order.status, json.loads(order.body), order.headers["Location"]) == (201, {"id": 7}, "/orders/7")
    running.get("/shop/other")
    assert [request.target for request in upstream.requests] == ["/other"]


def test_every_option_is_in_an_example() -> None:
    fields = [each for model in (MockConfig, ResponseConfig, DelayConfig) for each in model.model_fields.items()]
    names = [field.alias or name for name, field in fields]

    assert [name for name in names if not re.search(rf"\b{name}:", FIRST + SECOND)] == []
