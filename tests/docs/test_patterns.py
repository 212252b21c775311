from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.errors import TextTooLongError
from gateway_core.messages import Headers, Request

from tests.docs.blocks import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "patterns.md"


def test_the_example_refuses_what_its_pattern_matches(without_re2: None) -> None:
    (block,) = [block for block in blocks_of(PAGE) if block.language == "python"]
    example: dict[str, Any] = {"__name__": "example"}
    exec(compile(block.text, block.place, "exec", dont_inherit=True), example)
    config = example["Config"].model_validate({"agents": ".*bot.*"})

    def refused(agent: str) -> Any:
        request = Request("GET", "/")
        request.headers = Headers([("User-Agent", agent)])
        return example["refuse"](config, request)

    assert refused("a bot").status == 403
    assert refused("curl") is None
    with pytest.raises(TextTooLongError):
        refused("a" * 9_000)
