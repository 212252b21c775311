from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import aiohttp
import pytest
from gateway_plugin_etcd.source import EtcdSource
from gateway_plugin_sdk import SourceContext, SourceState
from gateway_plugin_sdk.testing import ManualClock, source_url

from tests.core.process import certificates
from tests.plugins.etcd.server import PATIENCE, Etcd


async def first(session: aiohttp.ClientSession, text: str) -> SourceState:
    source = EtcdSource(source_url(EtcdSource, text), SourceContext(ManualClock(), Random(1), {}, lambda: session))
    states = source.documents()
    try:
        return await asyncio.wait_for(anext(states), PATIENCE)
    finally:
        await states.aclose()


async def test_etcd_behind_tls_with_client_certificates(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    server = await asyncio.to_thread(certificates.make, tmp_path, "localhost")
    client = await asyncio.to_thread(certificates.make, tmp_path, "client")
    tls = certificates.trusting(server, client)
    # etcd's JSON gateway is a client of etcd itself, with the server's certificate.
    trusted = tmp_path / "trusted.crt"
    trusted.write_text(client.cert.read_text() + server.cert.read_text())
    files = ("--cert-file", str(server.cert), "--key-file", str(server.key), "--trusted-ca-file", str(trusted))
    etcd = Etcd(tmp_path / "etcd", *files, "--client-cert-auth", scheme="https", name="localhost", ssl=tls)
    async with etcd:
        await etcd.put("/gateway/a.yaml", "one")

        state = await first(session, f"etcd://{etcd.host}/gateway?ca={server.cert}&cert={client.cert}&key={client.key}")
        assert [document.text for document in state.documents] == ["one"]

        with pytest.raises(Exception, match="certificate verify failed"):
            await first(session, f"etcd://{etcd.host}/gateway?tls=true")


async def test_files_that_were_replaced_count_without_a_restart(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    server = await asyncio.to_thread(certificates.make, tmp_path, "localhost")
    files = ("--cert-file", str(server.cert), "--key-file", str(server.key), "--trusted-ca-file", str(server.cert))
    tls = certificates.trusting(server, server)
    etcd = Etcd(tmp_path / "etcd", *files, "--client-cert-auth", scheme="https", name="localhost", ssl=tls)
    async with etcd:
        await etcd.put("/gateway/a.yaml", "one")
        options = f"ca={server.cert}&cert={server.cert}&key={server.key}&ping=500ms"
        url = source_url(EtcdSource, f"etcd://{etcd.host}/gateway?{options}")
        states = EtcdSource(url, SourceContext(ManualClock(), Random(1), {}, lambda: session)).documents()
        await asyncio.wait_for(anext(states), PATIENCE)

        await etcd.kill()
        await asyncio.to_thread(certificates.make, tmp_path, "localhost")  # in the same files
        etcd.ssl = certificates.trusting(server, server)
        await etcd.start()
        await etcd.put("/gateway/a.yaml", "two")

        async with asyncio.timeout(PATIENCE):
            while (await anext(states)).documents[0].text != "two":
                pass
        await states.aclose()
