"""Examples of pages: a configuration, and a table of what upstreams send and the client receives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from gateway_plugin_sdk.testing import ReceivedRequest, UpstreamAnswer

_ROW = re.compile(r"^\| (.*?) \| `(.*)` \|$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One of them."""

    document: dict[str, Any]
    target: str
    """What the client asks for; empty without a table."""
    sent: dict[str, str]
    """What upstreams send, by path and query."""
    received: str

    def served_by(self, url: str) -> dict[str, Any]:
        """Return the configuration with one upstream for all calls."""
        for binding in self.document["routes"][0]["plugins"]:
            for call in binding["config"].get("calls", ()):
                call["target"] = url
        return self.document

    def answer(self, request: ReceivedRequest) -> UpstreamAnswer:
        """Respond as the table has it."""
        body = self.sent.get(request.target)
        if body is None:
            return UpstreamAnswer(404)
        return UpstreamAnswer(200, body, {"Content-Type": "application/json"})


def examples_of(page: Path) -> list[Example]:
    """Return the examples of a page."""
    found = []
    for text, behind in re.findall(r"```yaml\n(.*?)```(.*?)(?=```|\Z)", page.read_text(), re.DOTALL):
        rows = dict(_ROW.findall(behind))
        sent = {name[1 : -len("` is")]: body for name, body in rows.items() if name.endswith("` is")}
        made = Example(
            yaml.safe_load(text), rows.get("the client asks for", ""), sent, rows.get("the client receives", "")
        )
        found.append(made)
    return found
