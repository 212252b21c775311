"""What creates the records of DNS-01 challenges: a command, or a provider of an installed package."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from gateway_plugin_sdk import GatewayError
from pydantic import BaseModel, ValidationError

from gateway_plugin_acme.config import DnsConfig

GROUP: Final = "gateway.acme.dns"
"""Entry points of providers: classes with ``config_model`` (a pydantic model, or None), which get an instance of it."""

_LONGEST_REASON: Final = 300


class DnsError(GatewayError):
    """A record could not be created."""


class DnsProvider(Protocol):
    """Creates TXT records, several with one name at a time (a name and its wildcard have the same)."""

    async def present(self, name: str, value: str) -> None:
        """Add a TXT record; ``name`` begins with ``_acme-challenge.`` and has no final dot."""

    async def cleanup(self, name: str, value: str) -> None:
        """Remove it."""


class CommandProvider:
    """Runs a program for each record."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    async def present(self, name: str, value: str) -> None:
        """Run it with ``present``."""
        await self._run("present", name, value)

    async def cleanup(self, name: str, value: str) -> None:
        """Run it with ``cleanup``."""
        await self._run("cleanup", name, value)

    async def _run(self, *arguments: str) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise DnsError(f"the dns command {self._command[0]!r} cannot be run: {error.strerror}") from error
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode:
            text = said.decode("utf-8", "replace").strip()[-_LONGEST_REASON:]
            raise DnsError(f"the dns command ended with status {process.returncode}: {text}")


def find_provider(config: DnsConfig) -> DnsProvider:
    """Return what the configuration names.

    :raises ValueError: no package offers it, or it refuses its configuration.
    """
    if config.name is None:
        return CommandProvider(config.command)
    found = {each.name: each for each in entry_points(group=GROUP)}
    entry = found.get(config.name)
    if entry is None:
        there = f"there is {', '.join(sorted(found))}" if found else "none is installed"
        raise ValueError(f"no installed package offers dns provider {config.name!r}: {there}")
    try:
        factory = entry.load()
        model: type[BaseModel] | None = getattr(factory, "config_model", None)
        provider: Any = factory(None if model is None else model.model_validate(config.config))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        raise ValueError(f"dns provider {config.name!r} refuses its config: {where}: {first['msg']}") from error
    except Exception as error:  # the package's own code
        raise ValueError(f"dns provider {config.name!r} fails: {error!r}") from error
    for method in ("present", "cleanup"):
        if not inspect.iscoroutinefunction(getattr(provider, method, None)):
            raise ValueError(f"dns provider {config.name!r} has no async method {method}")
    made: DnsProvider = provider
    return made


class DnsRecords:
    """Creates records within a time, and waits until the servers know them."""

    def __init__(self, config: DnsConfig, provider: DnsProvider) -> None:
        self._config = config
        self._provider = provider

    async def present(self, name: str, value: str) -> None:
        """Create a record.

        :raises DnsError: it could not be created in time.
        """
        try:
            async with asyncio.timeout(self._config.timeout):
                await self._provider.present(name, value)
        except DnsError:
            raise
        except TimeoutError as error:
            raise DnsError(f"creating {name} took longer than {self._config.timeout:g} s") from error
        except Exception as error:  # the package's own code
            raise DnsError(f"the dns provider failed: {error!r}") from error

    async def wait(self) -> None:
        """Wait until the name's servers know the records."""
        await asyncio.sleep(self._config.propagation)

    async def cleanup(self, name: str, value: str) -> None:
        """Remove a record.

        :raises DnsError: it could not be removed in time.
        """
        try:
            async with asyncio.timeout(self._config.timeout):
                await self._provider.cleanup(name, value)
        except DnsError:
            raise
        except Exception as error:  # the package's own code
            raise DnsError(f"removing {name} failed: {error!r}") from error
