"""Endpoints from a file with one URL a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import ConfigModel, Discovered, DiscoveryContext, EndpointSpec

LOOK_EVERY: Final = 1.0


def read_endpoints(path: Path) -> tuple[EndpointSpec, ...]:
    """Read a file; empty lines and lines that begin with # do not count.

    :raises OSError: the file cannot be read.
    :raises ValueError: a line is no URL of an endpoint; the text names the line.
    """
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        url = line.strip()
        if url and not url.startswith("#"):
            try:
                found.append(EndpointSpec.from_url(url))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    return tuple(found)


class EndpointsFileConfig(ConfigModel):
    """Where the endpoints are."""

    file: Path
    """A file with one URL a line."""


class EndpointsFile:
    """A discovery that looks at a file once a second."""

    config_model = EndpointsFileConfig

    def __init__(self, config: EndpointsFileConfig, context: DiscoveryContext) -> None:  # noqa: ARG002  # the interface
        self._path = config.file

    async def watch(self) -> AsyncIterator[Discovered]:
        """Yield the endpoints when they changed; that a file cannot be read is for the gateway to report."""
        last: tuple[EndpointSpec, ...] | None = None
        while True:
            found = await asyncio.to_thread(read_endpoints, self._path)
            if found != last:
                last = found
                yield Discovered(found)
            await asyncio.sleep(LOOK_EVERY)
