"""The sockets that the gateway listens on, by their address as configured.

The process that binds them keeps them over reloads, and workers inherit them. `gateway_core.process.listeners` accepts
on them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence

from gateway_core.config import ConfigError, ConfigProblem, ListenConfig, LoadedConfig
from gateway_core.descriptors import EXHAUSTED
from gateway_core.process import sockets
from gateway_core.process.machine import socket_problems
from gateway_core.process.plugin_guard import keep_from_children, release


def by_address(listen: Sequence[ListenConfig]) -> dict[str, list[ListenConfig]]:
    """Return the listeners at each address, in the order in which they are configured."""
    grouped: dict[str, list[ListenConfig]] = {}
    for config in listen:
        grouped.setdefault(config.address, []).append(config)
    return grouped


class SocketTable:
    """Listening sockets by their address as configured; the process that binds them keeps them over reloads."""

    def __init__(self, inherited: Mapping[str, socket.socket] | None = None) -> None:
        self._sockets = dict(inherited or {})
        for sock in self._sockets.values():
            keep_from_children(sock)

    def __getitem__(self, address: str) -> socket.socket:
        return self._sockets[address]

    def __contains__(self, address: object) -> bool:
        return address in self._sockets

    def descriptors(self) -> dict[str, int]:
        """Return the file descriptor of each, to hand them to another process."""
        return {address: sock.fileno() for address, sock in self._sockets.items()}

    def duplicates(self) -> dict[str, int]:
        """Return a further file descriptor of each, which outlives this table."""
        return {address: os.dup(sock.fileno()) for address, sock in self._sockets.items()}

    def bind(self, listen: Sequence[ListenConfig]) -> list[str]:
        """Bind what is not bound yet, all or nothing.

        :returns: the addresses that are new, for `close` if the configuration is given up after all.
        :raises BindError: one of them cannot be had.
        """
        new: list[str] = []
        try:
            for config in listen:
                where, mode, owner = config.parsed, config.mode, config.owner
                if config.address not in self._sockets:
                    self._sockets[config.address] = self._bind(config)
                    keep_from_children(self._sockets[config.address])
                    new.append(config.address)
                elif where.path:
                    sockets.set_access(where.path, mode, owner)
        except sockets.BindError:
            self.close(new)
            raise
        return new

    def _bind(self, config: ListenConfig) -> socket.socket:
        where, text = config.parsed, config.address
        try:
            return sockets.bind(where, text, config.mode, config.owner)
        except sockets.BindError as error:
            own = [] if where.path else self._with_port(where.port)
            if not own or not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                raise
        # `127.0.0.1:80` becomes `:80`: the address is taken by ourselves. Both are listened on until the change is in
        # force; other users cannot take the port meanwhile.
        sockets.share_port(own, is_shared=True)
        try:
            sock = sockets.bind(where, text, reuse_port=True)
            sockets.share_port([sock], is_shared=False)
        finally:
            sockets.share_port(own, is_shared=False)
        return sock

    def _with_port(self, port: int) -> list[socket.socket]:
        return [
            each for each in self._sockets.values() if each.family != socket.AF_UNIX and each.getsockname()[1] == port
        ]

    def close(self, addresses: Sequence[str]) -> None:
        """Stop listening on these."""
        for address in addresses:
            sock = self._sockets.pop(address)
            release(sock)
            sockets.close(sock)

    def drop_new(self, but: Sequence[ListenConfig]) -> None:
        """Let no more clients connect to all others, which are closed next; see `sockets.drop_new`."""
        wanted = {config.address for config in but}
        for address, sock in self._sockets.items():
            if address not in wanted:
                sockets.drop_new(sock)

    def keep_only(self, listen: Sequence[ListenConfig]) -> None:
        """Stop listening on everything else."""
        wanted = {config.address for config in listen}
        self.close([address for address in self._sockets if address not in wanted])

    def forget(self, but: Sequence[ListenConfig] = ()) -> None:
        """Close this process's copies of all others; processes that share the sockets go on listening.

        A socket that is accepted on no more must be open nowhere: the system would go on queueing connections.
        """
        wanted = {config.address for config in but}
        for address in [address for address in self._sockets if address not in wanted]:
            sock = self._sockets.pop(address)
            release(sock)
            sock.close()


def bind_listeners(table: SocketTable, loaded: LoadedConfig) -> list[str]:
    """Bind what a configuration listens on and is not bound yet, all or nothing.

    :returns: the addresses that are new.
    :raises ConfigError: an address cannot be had; with its place.
    :raises BindError: the system has no more sockets, which says nothing of the configuration.
    """
    try:
        return table.bind(loaded.config.listen)
    except sockets.BindError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in EXHAUSTED:
            raise
        addresses = [config.address for config in loaded.config.listen]
        key_path = f"listen[{addresses.index(error.address)}]" if error.address in addresses else "listen"
        problem = ConfigProblem(loaded.place_of(key_path), key_path, str(error), code="listen.unavailable")
        raise ConfigError([*socket_problems(loaded)] or [problem]) from error
