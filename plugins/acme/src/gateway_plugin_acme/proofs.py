"""Proofs that names are ours: put where every worker and gateway finds them, before the authority is asked to look."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from gateway_plugin_sdk import Certificate, GatewayError

from gateway_plugin_acme.authority import Authorization, Challenge
from gateway_plugin_acme.crypto import new_key, validation_certificate
from gateway_plugin_acme.dns import DnsRecords
from gateway_plugin_acme.records import TOKENS, VALIDATIONS, Records, Validation, validation_id

_TTL = 3600.0
"""Seconds; no validation takes longer, and what is forgotten ends by itself."""

_logger = logging.getLogger("gateway.plugins.acme")


class Proofs:
    """Those of one order."""

    def __init__(
        self, records: Records, kinds: Sequence[str], dns: DnsRecords | None, wall: Callable[[], float]
    ) -> None:
        """Begin without any.

        :param kinds: of challenges, in order of preference.
        """
        self._records, self._wall = records, wall
        self._kinds = [kind for kind in kinds if kind != "dns-01" or dns is not None]
        self._dns = dns
        self._given: list[tuple[Authorization, Challenge]] = []

    def choose(self, authorization: Authorization, failures: int) -> Challenge:
        """Return the challenge to respond to: the next one in order after each failure.

        :raises GatewayError: the authority offers none that is possible here.
        """
        offered = {each.kind: each for each in authorization.challenges}
        possible = [kind for kind in self._kinds if kind in offered]
        if authorization.is_wildcard:
            possible = [kind for kind in possible if kind == "dns-01"]
        if not possible:
            raise GatewayError(
                f"{authorization.name}: the authority offers {', '.join(sorted(offered)) or 'no challenge'}, "
                f"and possible here is {', '.join(self._kinds) or 'none'}"
            )
        return offered[possible[failures % len(possible)]]

    async def give(self, authorization: Authorization, challenge: Challenge) -> None:
        """Put a proof in place.

        :raises GatewayError: the storage or the DNS provider does not take it.
        """
        self._given.append((authorization, challenge))
        if challenge.kind == "http-01":
            await self._records.storage.put(f"{TOKENS}/{challenge.token}", challenge.key_authorization.encode(), _TTL)
        elif challenge.kind == "tls-alpn-01":
            shown = validation_certificate(
                authorization.name, challenge.key_authorization, new_key("ec256"), self._wall()
            )
            record = Validation(shown.chain.decode(), shown.key.decode())
            await self._records.put(VALIDATIONS, validation_id(authorization.name), record, _TTL)
        else:
            assert self._dns is not None, "chosen only with DNS"
            await self._dns.present(_record_name(authorization), challenge.dns_value)

    async def wait(self) -> None:
        """Wait until all proofs are where the authority looks."""
        if self._dns is not None and any(challenge.kind == "dns-01" for _, challenge in self._given):
            await self._dns.wait()

    async def remove(self) -> None:
        """Remove all proofs; what cannot be removed is logged."""
        for authorization, challenge in self._given:
            try:
                if challenge.kind == "http-01":
                    await self._records.storage.delete(f"{TOKENS}/{challenge.token}")
                elif challenge.kind == "tls-alpn-01":
                    await self._records.storage.delete(f"{VALIDATIONS}/{validation_id(authorization.name)}")
                elif self._dns is not None:
                    await self._dns.cleanup(_record_name(authorization), challenge.dns_value)
            except GatewayError as error:
                _logger.warning("a proof for %s is left where it was: %s", authorization.name, error)
        self._given.clear()


def _record_name(authorization: Authorization) -> str:
    return f"_acme-challenge.{authorization.name.removeprefix('*.')}"


async def find_key_authorization(records: Records, token: str) -> str | None:
    """Return what an authority is to read for a token; None if it is unknown."""
    found = await records.storage.get(f"{TOKENS}/{token}")
    return None if found is None else found.decode()


async def find_validation(records: Records, server_name: str) -> Certificate | None:
    """Return what an authority is to see for a name; None if no validation of it is going on."""
    found = await records.get(VALIDATIONS, validation_id(server_name), Validation)
    return None if found is None else Certificate([server_name], found.chain.encode(), found.key.encode())
