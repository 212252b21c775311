"""Certificates for names that clients ask for: which names may have one, and how many."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from gateway_plugin_sdk import Clock, GatewayError, Tasks

from gateway_plugin_acme.config import OnDemandConfig
from gateway_plugin_acme.names import Wanted, covers, is_public, name_problem
from gateway_plugin_acme.records import WANTED, Records, validation_id

_MOST_PENDING: Final = 64
"""Names that are waited for at one time."""
_MOST_REFUSED: Final = 1024
_REFUSED_FOR: Final = 60.0
"""Seconds for which a refusal is remembered."""
_ASK_TIMEOUT: Final = 5.0
_ALLOWED: Final = 200
_REFUSALS: Final = frozenset(range(400, 500)) - {408, 429}
"""Statuses that take a name its certificate; after any other one, the URL is asked again later."""
_PATIENCE: Final = 60.0
"""Seconds that a name is waited for; its order goes on."""

_logger = logging.getLogger("gateway.plugins.acme")


class OnDemand:
    """Decides over names that no one has listed."""

    def __init__(
        self,
        config: OnDemandConfig,
        records: Records,
        session: Callable[[], aiohttp.ClientSession],
        clock: Clock,
        on_allowed: Callable[[], None],
        *,
        is_private: bool,
    ) -> None:
        """Begin without names.

        :param on_allowed: called when there is another name.
        :param is_private: whether names need not be public.
        """
        self._config, self._records, self._session, self._clock = config, records, session, clock
        self._on_allowed, self._is_private = on_allowed, is_private
        self._tasks = Tasks()
        self._pending: dict[str, asyncio.Event] = {}
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._minute, self._begun = 0.0, 0
        self.names: tuple[str, ...] = ()
        """Those that may have a certificate."""
        self._served: frozenset[str] = frozenset()
        self._names_by_id: dict[str, str] = {}  # names by what they are stored by, which never changes

    async def read(self) -> bool:
        """Read the names that all gateways have allowed; return whether there are others than before."""
        found = await self._stored()
        before, self.names = self.names, tuple(sorted(found[: self._config.most]))
        return before != self.names

    async def _stored(self) -> list[str]:
        """Return the names that are stored and may have a certificate as it is configured now."""
        storage, names = self._records.storage, dict[str, str]()
        for each in await storage.names(WANTED):
            name = self._names_by_id.get(each)
            if name is None and (value := await storage.get(f"{WANTED}/{each}")) is not None:
                name = value.decode()
            if name is not None:
                names[each] = name
        self._names_by_id = names
        return [name for name in names.values() if self._config.ask is not None or self._is_listed(name)]

    def wanted(self) -> list[Wanted]:
        """Return the certificates for these names."""
        return [Wanted((name,)) for name in self.names]

    def serve(self, names: frozenset[str]) -> None:
        """Take which names have a certificate that clients trust."""
        self._served = names
        for name, event in self._pending.items():
            if self._is_served(name):
                event.set()

    def _is_served(self, name: str) -> bool:
        return not self._served.isdisjoint({name, "*." + name.partition(".")[2]})

    def provide(self, name: str) -> Awaitable[bool] | None:
        """Return what ends when a name has a certificate or is refused; None if there is nothing to wait for."""
        if self._is_served(name):
            return None
        if name not in self._pending and not self._begin(name):
            return None
        return self._wait(name, self._pending[name])

    async def _wait(self, name: str, event: asyncio.Event) -> bool:
        await event.wait()
        return self._is_served(name)

    def _begin(self, name: str) -> bool:
        now = self._clock.monotonic()
        if name not in self.names:
            if self._refused.get(name, 0.0) > now or len(self.names) >= self._config.most:
                return False
            if name_problem(name) or not (self._is_private or is_public(name)) or name.startswith("*."):
                return False
            if self._config.ask is None and not self._is_listed(name):
                return False
            if now >= self._minute + 60:
                self._minute, self._begun = now, 0
            if self._begun >= self._config.per_minute:
                return False
            self._begun += 1
        if len(self._pending) >= _MOST_PENDING:
            return False
        event = self._pending[name] = asyncio.Event()
        self._tasks.spawn(self._get(name, event), name=f"certificate on demand for {name}")
        return True

    def _is_listed(self, name: str) -> bool:
        return any(covers(pattern, name) for pattern in self._config.allow)

    async def _get(self, name: str, event: asyncio.Event) -> None:
        try:
            if name not in self.names:
                if not (self._is_listed(name) or await self._ask(name) == _ALLOWED):
                    self._refuse(name)
                    return
                if not await self._add(name):
                    self._refuse(name)
                    return
                self._on_allowed()
            async with asyncio.timeout(_PATIENCE):
                await event.wait()
        except TimeoutError:
            pass
        except GatewayError as error:
            _logger.warning("no certificate on demand for %s: %s", name, error)
            self._refuse(name)
        finally:
            event.set()
            self._pending.pop(name, None)

    async def _add(self, name: str) -> bool:
        """Store a name for all gateways; return whether there is room for it, which others may have taken meanwhile."""
        storage, where = self._records.storage, f"{WANTED}/{validation_id(name)}"
        await storage.put(where, name.encode())
        if len(await self._stored()) > self._config.most:
            await storage.delete(where)
            _logger.warning("no certificate on demand for %s: on_demand.most is reached", name)
            return False
        await self.read()
        return True

    def _refuse(self, name: str) -> None:
        self._refused[name] = self._clock.monotonic() + _REFUSED_FOR
        self._refused.move_to_end(name)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    async def may_stay(self, name: str) -> bool:
        """Ask again about a name that has been allowed; one that is refused now is forgotten by all gateways.

        :raises GatewayError: there is no decision.
        """
        if self._is_listed(name):
            return True
        status = await self._ask(name)
        if status not in _REFUSALS and status != _ALLOWED:
            reason = "it does not respond" if status is None else f"it responds with {status}"
            raise GatewayError(f"on_demand.ask does not decide whether {name} may have one still: {reason}")
        if status in _REFUSALS:
            await self._records.storage.delete(f"{WANTED}/{validation_id(name)}")
            self._refuse(name)
            await self.read()
        return status == _ALLOWED

    async def _ask(self, name: str) -> int | None:
        """Return the status that the URL responds with; None if it does not respond."""
        assert self._config.ask is not None, "there is no other way"
        timeout = aiohttp.ClientTimeout(total=_ASK_TIMEOUT)
        try:
            async with self._session().get(
                self._config.ask, params={"domain": name}, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _logger.warning("on_demand.ask does not respond for %s: %s", name, str(error) or type(error).__name__)
            return None

    async def aclose(self) -> None:
        """End what goes on."""
        await self._tasks.aclose()
