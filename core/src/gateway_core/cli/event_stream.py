"""The stream of events of a running gateway, for commands: it goes on where it was when the connection is lost."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import click

from gateway_core.cli.control_client import AdminClient, NoGatewayError, UnavailableError
from gateway_core.errors import GatewayError

_SILENCE: Final = 35.0
"""Seconds without a byte after which a connection counts as lost: some heartbeats."""
PATIENCE: Final = 60.0
"""Seconds in which a gateway that is gone may come back."""
_PAUSE: Final = 0.5
STOPPING: Final = "stopping"
_ENDS: Final = frozenset({"restarting", "listener-closed", STOPPING})
"""Reasons of an end after which the stream goes on, with another program or at another address."""


class StreamEvent(NamedTuple):
    """One event."""

    name: str
    data: Mapping[str, Any]


@dataclass
class EventStream:
    """Reads events, and connects again when the connection is lost."""

    client_of: Callable[[], AdminClient]
    """Returns what sends requests to the gateway, which may have another control socket than before."""
    query: Mapping[str, str]
    ends_at_stop: bool = False
    """Whether it is over when the gateway stops; else the gateway may come back."""
    patience: float = PATIENCE
    last_id: str = ""

    def __iter__(self) -> Iterator[StreamEvent]:
        """Yield events until the gateway ends the stream and means it; the last one is ``end``, with the reason.

        :raises GatewayError: there is no gateway, it refuses, or it is gone and does not come back.
        """
        is_begun, lost_at = False, 0.0
        while True:
            why = "the connection is lost"
            try:
                for event in self._once():
                    is_begun, lost_at = True, 0.0
                    if event.name == "end" and self._goes_on(event.data.get("reason", "")):
                        reason = event.data["reason"]
                        why = why if reason == "listener-closed" else f"the gateway is {reason}"
                        break
                    yield event
                    if event.name == "end":
                        return
            except (UnavailableError, NoGatewayError, OSError, http.client.HTTPException) as error:
                if not is_begun:
                    raise error if isinstance(error, GatewayError) else GatewayError(str(error)) from error
            now = time.monotonic()
            if not lost_at:
                lost_at = now
                click.echo(f"gateway: {why}: connecting again", err=True)
            if now - lost_at > self.patience:
                raise GatewayError(f"the gateway is gone, and did not come back within {self.patience:g} s")
            time.sleep(_PAUSE)

    def _goes_on(self, reason: str) -> bool:
        return reason in _ENDS and not (reason == STOPPING and self.ends_at_stop)

    def _once(self) -> Iterator[StreamEvent]:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with self.client_of().stream(f"/api/v1/events?{urlencode(self.query)}", headers, _SILENCE) as response:
            fields: dict[str, str] = {}
            while line := response.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                self.last_id = fields.get("id", self.last_id)
                if "event" in fields:
                    yield StreamEvent(fields["event"], json.loads(fields["data"]))
                fields = {}
