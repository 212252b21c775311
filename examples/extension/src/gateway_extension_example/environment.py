"""The configuration from an environment variable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

from gateway_plugin_sdk import Document, SourceContext, SourceState, SourceUrl


class EnvironmentSource:
    """A source for ``env://NAME``: one document, which never changes while the process lives."""

    config_model: ClassVar[None] = None

    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        if len(url.hosts) != 1 or url.path.strip("/"):
            raise ValueError("names no variable: write env://NAME")
        self._name = url.hosts[0]
        text = context.environ.get(self._name)
        if text is None:
            raise ValueError(f"names a variable that is not set: {self._name}")
        self._text = text

    async def documents(self) -> AsyncIterator[SourceState]:
        """Yield the document, then nothing more."""
        yield SourceState((Document(f"env://{self._name}", self._text),))
        await asyncio.Event().wait()
