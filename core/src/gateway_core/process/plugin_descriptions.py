"""What installed plugins do, and the schemas of their options: read in processes of their own.

The process that has the admin listener imports no plugin, and one that is only looked at must not run its code in the
gateway. So `gateway plugins show` describes it, once for each version.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from gateway_core.errors import GatewayError, RefusedError
from gateway_core.packages.installed import published_plugins

TIMEOUT: Final = 60.0
"""Seconds that importing a plugin may take."""
_LONGEST_ERROR: Final = 500


class PluginDescriptions:
    """Descriptions by plugin."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def get(self, name: str) -> Mapping[str, Any]:
        """Return the description of a plugin.

        :raises RefusedError: none of this name is installed.
        :raises GatewayError: it cannot be imported.
        """
        async with self._one_at_a_time:
            installed = (await asyncio.to_thread(published_plugins)).get(name, ())
            if not installed:
                self._found.pop(name, None)
                raise RefusedError(404, "not-found", f"no plugin {name[:100]!r} is installed")
            now = " ".join(f"{each.distribution} {each.version}" for each in installed)
            before = self._found.get(name)
            if before is None or before[0] != now:
                self._found[name] = before = now, await _describe(name)
            return before[1]


async def _describe(name: str) -> Mapping[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway_core.cli", "plugins", "show", "--json", "--", name,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise GatewayError(f"plugin {name!r} was not imported within {TIMEOUT:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        text = errors.decode(errors="replace").strip()[-_LONGEST_ERROR:]
        raise GatewayError(f"plugin {name!r} cannot be described: {text}")
    found: Mapping[str, Any] = json.loads(output)
    return found
