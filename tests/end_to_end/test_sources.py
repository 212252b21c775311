from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.commands import start as commands
from tests.end_to_end.kit import Gateway, ToClients, Upstream, eventually, get, get_over_both

pytestmark = pytest.mark.slow

Start = Callable[..., Gateway]


class Site:
    """A web server that gives away one document, and can be stopped and started."""

    def __init__(self) -> None:
        self.text = ""
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gateway.yaml"

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/gateway.yaml", self._answer)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.text, content_type="application/yaml")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
def start(start: Start, site: Site, tmp_path: Path) -> Start:
    """Start ``gateway run`` on a file with the listeners and on the site."""

    def begin(workers: int = 1, listen: str = "listen: 127.0.0.1:0\n") -> Gateway:
        more = ("-c", f"{site.url}?interval=50ms")
        environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
        return start(f"{listen}workers: {workers}\n", *more, name="base.yaml", environ=environ)

    return begin


def route(name: str, upstream: Upstream) -> str:
    return f"routes: [{{id: {name}, path: /{name}, target: '{upstream.url}'}}]"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run(*arguments)


async def test_a_url_is_polled_and_survives_a_restart_of_the_program(
    start: Start, site: Site, upstream: Upstream, tmp_path: Path
) -> None:
    site.text = route("a", upstream)
    gateway = start(workers=2)
    url = await gateway.ready()
    assert (await get(url, "/a"))[0] == 200

    site.text = route("b", upstream)
    await eventually(url, "/b", "200")

    # The new program follows the source as well.
    after = len(gateway.lines)
    gateway.signal(signal.SIGUSR2)
    await gateway.says("^listening on ", after=after)
    site.text = route("c", upstream)
    await eventually(url, "/c", "200")
    assert (await get(url, "/b"))[0] == 404
    assert list((tmp_path / "state" / "gateway").iterdir())
    await gateway.stops()


async def test_a_start_without_the_site_serves_what_was_good_last(start: Start, site: Site, upstream: Upstream) -> None:
    site.text = route("a", upstream)
    first = start()
    await first.ready()
    await first.stops()
    await site.stop()

    second = start()
    url = await second.ready()

    assert f"{site.url} is unreachable, its last good documents are used from" in second.text
    assert (await get(url, "/a"))[0] == 200
    site.text = route("b", upstream)
    await site.start()
    await eventually(url, "/b", "200")
    await second.stops()


async def test_a_first_start_waits_for_its_source(start: Start, site: Site, upstream: Upstream) -> None:
    await site.stop()
    gateway = start()
    await gateway.says(f"{site.url} has not responded yet: ")
    await gateway.says(f"waiting for {site.url}, without which there is nothing to start with, for [0-9]+ s: ")

    site.text = route("a", upstream)
    await site.start()

    url = await gateway.ready()
    assert (await get_over_both(url, "/a"))[0] == 200
    await gateway.stops()


async def test_a_first_start_on_a_bad_document_for_all_says_what_is_wrong(start: Start, site: Site) -> None:
    site.text = "limits: {}\nroutes:\n  - {path: /, tarrget: x}\n"
    gateway = start()

    assert await gateway.ends() == 1
    assert f'{site.url}:3:15: routes[0].tarrget: unknown key "tarrget"' in gateway.text


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_document_that_cannot_be_started_is_replaced_by_its_last_good_version(
    start: Start, site: Site, upstream: Upstream, workers: int
) -> None:
    site.text = f"listen: 127.0.0.1:0\n{route('a', upstream)}"
    first = start(workers, listen="")
    await first.ready()
    await first.stops()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        site.text = f"listen: '{address}'\n{route('b', upstream)}"
        gateway = start(workers, listen="")
        url = await gateway.ready()

    assert (await get(url, "/a"))[0] == 200
    assert f"cannot listen on {address}" in gateway.text
    site.text = f"listen: 127.0.0.1:0\n{route('c', upstream)}"
    await eventually(url, "/c", "200")
    await gateway.stops()


async def test_the_log_does_not_say_of_a_rejected_document_that_it_is_in_force(
    start: Start, site: Site, upstream: Upstream
) -> None:
    site.text = route("a", upstream)
    gateway = start()
    url = await gateway.ready()

    site.text = route("b", upstream).replace("id: b", "id: b, bogus: 1")

    await gateway.says("documents rejected, their last good versions stay in force")
    await gateway.says("changed: configuration in force, but for the documents that were rejected: ")
    assert (await get_over_both(url, "/a"))[0] == 200
    await gateway.stops()


async def test_a_source_that_nobody_has_is_refused(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "none.yaml", "-c", "nonsense://user:secret@h/x")

    assert await gateway.ends() == 1
    assert "'nonsense' is no source of configuration: known are http, https" in gateway.text
    assert "secret" not in gateway.text
    gateway.kill()


async def test_commands_read_a_source_once(site: Site, upstream: Upstream) -> None:
    site.text = route("a", upstream)

    checked = await asyncio.to_thread(command, "check", "-c", site.url)
    listed = await asyncio.to_thread(command, "routes", "--json", "-c", site.url)
    await site.stop()
    gone = await asyncio.to_thread(command, "check", "-c", site.url)

    assert (checked.returncode, checked.stdout) == (0, f"{site.url}: fine, 1 route, 0 upstreams\n")
    assert [each["id"] for each in json.loads(listed.stdout)] == ["a"]
    assert gone.returncode == 3
    assert f"{site.url}: cannot connect to" in gone.stderr


async def test_a_source_that_a_local_file_names_has_the_rights_that_it_gives(
    tmp_path: Path, site: Site, upstream: Upstream
) -> None:
    site.text = f"routes: [{{id: team, path: '/${{TEAM}}', target: '{upstream.url}'}}]"
    base = tmp_path / "gateway.yaml"
    base.write_text(f"listen: 127.0.0.1:0\nsources: [{{url: '{site.url}', allow: [env]}}]\n")
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "TEAM": "a"}
    gateway = Gateway(base, environ=environ)

    await gateway.ready()
    gateway.kill()
    base.write_text(f"listen: 127.0.0.1:0\nsources: [{{url: '{site.url}'}}]\n")
    checked = await asyncio.to_thread(command, "check", "-c", str(base))

    assert checked.returncode == 1
    assert '"${TEAM}" is not allowed in a document of this source' in checked.stderr


async def test_sources_of_a_local_file_come_and_go_without_a_gap(
    tmp_path: Path, site: Site, upstream: Upstream, to_clients: ToClients
) -> None:
    site.text = route("remote", upstream)
    base = tmp_path / "gateway.yaml"
    local = f"listen: 127.0.0.1:0\n{route('local', upstream)}\n"
    base.write_text(local)
    gateway = Gateway(base, environ={"XDG_STATE_HOME": str(tmp_path / "state")}, to_clients=to_clients)
    try:
        url = await gateway.ready()
        assert (await get(url, "/remote"))[0] == 404

        base.write_text(local + f"sources: [{{url: '{site.url}'}}]\n")
        await eventually(url, "/remote", "200")
        assert (await get(url, "/local"))[0] == 200

        base.write_text(local)
        await eventually(url, "/remote", "404")
        assert (await get(url, "/local"))[0] == 200
    finally:
        gateway.kill()
