"""A gateway as an operator looks at it during an incident: its log as JSON lines, its metrics, its status."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.commands import start as commands
from tests.end_to_end.kit import PATIENCE, Gateway, get

HEAD = """
admin: {{listen: "unix:{admin}"}}
log: {{format: json}}
"""

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: \S+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Incident:
    """One running gateway, and what it shows."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self._admin = f"unix:{folder / 'admin'}"

    async def ready(self) -> str:
        """Wait until it listens, and return the URL."""
        return str((await self.event("server.listening"))["url"])

    # -- the log

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields, and return it; a regular expression stands for a text."""

        def matches(line: str) -> dict[str, Any] | None:
            if not line.startswith("{"):
                return None
            entry: dict[str, Any] = json.loads(line)
            return (
                entry if entry.get("event") == name and all(_fits(entry.get(k), v) for k, v in fields.items()) else None
            )

        line = await self.gateway.finds(lambda line: matches(line) is not None, f"{name} {fields}")
        found = matches(line)
        assert found is not None
        return found

    async def line(self, message: str) -> dict[str, Any]:
        """Wait for a line of any event whose message matches, and return it."""

        def is_it(line: str) -> bool:
            return line.startswith("{") and re.search(message, json.loads(line)["message"]) is not None

        found: dict[str, Any] = json.loads(await self.gateway.finds(is_it, message))
        return found

    # -- metrics and status

    async def metric(self, name: str, condition: Callable[[float], bool] = bool, **labels: str) -> float:
        """Wait until the sum of a metric's samples with these labels fulfils a condition, and return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status, text = await get(self._admin, "/metrics")
            assert status == 200
            value = _sum_of(text, name, labels)
            if condition(value):
                return value
            assert time.monotonic() < deadline, f"{name} {labels} is {value} in\n{text}"
            await asyncio.sleep(0.1)  # nothing tells when a sample changes

    async def status(self, condition: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """Wait until the state fulfils a condition, and return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found: dict[str, Any] = json.loads((await get(self._admin, "/api/v1/overview"))[1])
            if condition(found):
                return found
            assert time.monotonic() < deadline, json.dumps(found, indent=1)
            await asyncio.sleep(0.1)  # nothing tells when a state changes

    async def shown(self) -> str:
        """Return what `gateway status` prints, with single spaces."""
        done = await asyncio.to_thread(commands.run, "status", "--admin", self._admin)
        assert done.returncode in {0, 1}, done.stderr
        return "\n".join(" ".join(line.split()) for line in done.stdout.splitlines())


def _fits(value: Any, expected: Any) -> bool:
    if isinstance(expected, str) and isinstance(value, str):
        return re.search(expected, value) is not None
    return bool(value == expected)


def _sum_of(text: str, name: str, labels: dict[str, str]) -> float:
    total = 0.0
    for line in text.splitlines():
        sample = _SAMPLE.fullmatch(line)
        if sample is None or sample["name"] != name:
            continue
        found = dict(_LABEL.findall(sample["labels"] or ""))
        if all(found.get(label) == value for label, value in labels.items()):
            total += float(sample["value"])
    return total
