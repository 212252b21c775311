"""An etcd cluster that a fleet shares, by the JSON of its gateway (etcd 3.4 and later)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
from gateway_plugin_sdk import client_tls_context
from gateway_plugin_sdk.unstable import failure_text

from gateway_plugin_acme.config import EtcdOptions
from gateway_plugin_acme.storage import LOCK_TTL, StorageError

_UNAUTHENTICATED: Final = 16
_LARGEST: Final = 16 * 1024 * 1024


class EtcdStorage:
    """Values below the configured prefix; those that end have a lease."""

    def __init__(self, options: EtcdOptions, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._options = options
        self._session = session
        self._tls: ssl.SSLContext | None = None
        self._token = ""
        self._owner = secrets.token_hex(16)
        self._lease = ""
        self._first = 0

    async def start(self) -> None:
        """Read the file of authorities."""
        if self._options.ca is not None:
            self._tls = await asyncio.to_thread(client_tls_context, str(self._options.ca), "", "")

    async def stop(self) -> None:
        """Give the lock to others."""
        with contextlib.suppress(StorageError):  # it ends by itself
            await self.unlock()

    async def get(self, name: str) -> bytes | None:
        """Return a value; None if there is none."""
        found = (await self._call("kv/range", {"key": self._key(name)})).get("kvs", ())
        return base64.b64decode(found[0].get("value", "")) if found else None

    async def put(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value."""
        body = {"key": self._key(name), "value": base64.b64encode(value).decode()}
        if ttl is not None:
            body["lease"] = await self._new_lease(ttl)
        await self._call("kv/put", body)

    async def delete(self, name: str) -> None:
        """Remove a value."""
        await self._call("kv/deleterange", {"key": self._key(name)})

    async def names(self, folder: str) -> Sequence[str]:
        """Return the names of a folder."""
        start = f"{self._options.prefix}{folder}/".encode()
        body = {"key": _text(start), "range_end": _text(start[:-1] + b"0"), "keys_only": True}
        found = (await self._call("kv/range", body)).get("kvs", ())
        return sorted(base64.b64decode(each["key"])[len(start) :].decode() for each in found)

    async def lock(self) -> bool:
        """Take the lock, or keep it: its key goes with the lease of its holder."""
        if self._lease:
            kept = (await self._call("lease/keepalive", {"ID": self._lease})).get("result", {})
            if int(kept.get("TTL", 0)) > 0 and await self.get("lock") == self._owner.encode():
                return True
            self._lease = ""
        lease = await self._new_lease(LOCK_TTL)
        key = self._key("lock")
        put = {"key": key, "value": base64.b64encode(self._owner.encode()).decode(), "lease": lease}
        body = {
            "compare": [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
            "success": [{"requestPut": put}],
        }
        if (await self._call("kv/txn", body)).get("succeeded"):
            self._lease = lease
            return True
        await self._call("lease/revoke", {"ID": lease})
        return False

    async def unlock(self) -> None:
        """Give the lock to others, if this process has it."""
        lease, self._lease = self._lease, ""
        if lease:
            await self._call("lease/revoke", {"ID": lease})

    async def _new_lease(self, ttl: float) -> str:
        return str((await self._call("lease/grant", {"TTL": str(max(1, round(ttl)))}))["ID"])

    def _key(self, name: str) -> str:
        return _text(f"{self._options.prefix}{name}".encode())

    async def _call(self, path: str, body: Any) -> Any:
        """Make one call, to each member until one responds."""
        urls, reason = self._options.urls, ""
        for turn in range(len(urls)):
            url = urls[(self._first + turn) % len(urls)].rstrip("/")
            try:
                if self._options.username and not self._token:
                    await self._log_in(url)
                status, found = await self._post(url, path, body)
                if status == 401 or (isinstance(found, dict) and found.get("code") == _UNAUTHENTICATED):
                    await self._log_in(url)
                    status, found = await self._post(url, path, body)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
                reason = f"{url}: {failure_text(error) or 'it does not respond in time'}"
                continue
            if status == 200 and isinstance(found, dict):
                self._first = (self._first + turn) % len(urls)
                return found
            reason = f"{url}: {found.get('message', status) if isinstance(found, dict) else status}"
        raise StorageError(f"storage: etcd: {reason}")

    async def _log_in(self, url: str) -> None:
        password = self._options.password.reveal() if self._options.password is not None else ""
        self._token = ""
        _, found = await self._post(url, "auth/authenticate", {"name": self._options.username, "password": password})
        self._token = str(found["token"])

    async def _post(self, url: str, path: str, body: Any) -> tuple[int, Any]:
        timeout = aiohttp.ClientTimeout(total=self._options.timeout)
        headers = {"Authorization": self._token} if self._token else {}
        where = f"{url}/v3/{path}"
        async with self._session().post(
            where, json=body, headers=headers, timeout=timeout, ssl=self._tls or True, allow_redirects=False
        ) as response:
            return response.status, await response.json(content_type=None)


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
