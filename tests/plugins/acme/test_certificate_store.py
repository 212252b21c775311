"""What the sources of one process know of certificates together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway_plugin_acme.certificate_store import CertificateStore
from gateway_plugin_acme.names import Wanted
from gateway_plugin_acme.records import CERTIFICATES, Records, State, StoredCertificate
from gateway_plugin_acme.storage.directory import DirectoryStorage

WANTED = Wanted(("a.example.com",))


class SlowStorage(DirectoryStorage):
    """A directory of which a certificate is read, and given later."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lambda: 0.0)
        self.has_read, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def get(self, name: str) -> bytes | None:
        found = await super().get(name)
        if name.startswith(CERTIFICATES):
            self.has_read.set()
            await self.may_go_on.wait()
        return found


async def test_a_certificate_that_is_issued_while_it_is_read_is_the_one_that_is_known(tmp_path: Path) -> None:
    storage = SlowStorage(tmp_path / "acme")
    await storage.start()
    store = CertificateStore(Records(storage, None))
    issued = StoredCertificate(WANTED.names, "chain", "key", "https://a.example.com/dir", 1.0)

    reading = asyncio.get_running_loop().create_task(store.get(WANTED.id, WANTED))
    await storage.has_read.wait()
    await store.put_issued(WANTED.id, issued, State(WANTED.names, succeeded=1.0))
    storage.may_go_on.set()

    assert (await reading).certificate == issued
    assert (await store.get(WANTED.id, WANTED)).certificate == issued
    await storage.stop()
