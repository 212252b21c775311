from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from gateway_core.hooks import CommandError, CommandOutcome, Shared, SharedStoreFull, SharedStores
from gateway_core.process import plugin_services
from gateway_core.process.channel import Channel, ChannelClosedError
from gateway_core.process.plugin_services import (
    CommandReport,
    RemoteShared,
    apply_message,
    from_plain,
    outcome_to_plain,
    outcomes_of,
    to_plain,
)
from gateway_core.tasks import Tasks


@pytest.fixture
def stores() -> SharedStores:
    return SharedStores()


@pytest.fixture
async def shared(stores: SharedStores) -> AsyncIterator[Shared]:
    """What a plugin of a worker has, over a channel to a process that has the stores."""
    one, other = socket.socketpair()
    worker, supervisor = await Channel.over(one), await Channel.over(other)
    tasks = Tasks()

    async def serve() -> None:
        try:
            while True:
                message = await supervisor.receive()
                fields, body = apply_message(stores, message, now=5.0)
                await supervisor.reply(message, body, **fields)
        except ChannelClosedError:
            return

    async def read() -> None:
        try:
            while True:
                await worker.receive()
        except ChannelClosedError:
            return

    tasks.spawn(serve(), name="serve")
    tasks.spawn(read(), name="read")
    yield Shared(RemoteShared(worker), "p:b")
    worker.close()
    supervisor.close()
    await tasks.aclose()


async def test_every_operation_works_over_a_channel(shared: Shared) -> None:
    assert await shared.get("a") is None
    await shared.put("a", b"\x00\xff", ttl=1)
    assert await shared.get("a") == b"\x00\xff"
    assert [await shared.add("a", b"x"), await shared.add("b", b"")] == [False, True]
    assert await shared.get("b") == b""
    assert [await shared.increment("n", 5), await shared.increment("n", -6)] == [5, -1]
    await shared.delete("a")
    assert await shared.get("a") is None


async def test_errors_are_those_of_a_store_in_the_process(shared: Shared) -> None:
    await shared.put("a", bytes(8 << 20))

    with pytest.raises(SharedStoreFull, match="no room for 'b'"):
        await shared.put("b", b"1")
    with pytest.raises(ValueError, match="is not a number"):
        await shared.increment("a")


async def test_values_survive_as_json(shared: Shared, stores: SharedStores) -> None:
    await shared.put("a", b"\x00\xff", ttl=10)
    after = SharedStores()

    from_plain(json.loads(json.dumps(to_plain(stores, 7.0))), after, 100.0)

    assert after.dump(107.0) == [("p:b", [("a", b"\x00\xff", 1.0)])]


DONE = CommandOutcome("done", result=[1])
FAILED = CommandOutcome("failed", error="ValueError: no")
UNKNOWN = CommandOutcome("unknown", error="there is none")
REFUSED = CommandOutcome("refused", error="key: is missing")


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([DONE, DONE], 200),
        ([UNKNOWN, UNKNOWN], 404),
        ([REFUSED, REFUSED], 422),
        ([REFUSED, UNKNOWN], 422),
        ([DONE, FAILED], 500),
        ([DONE, UNKNOWN], 500),
        ([], 503),
    ],
)
def test_the_status_says_what_became_of_it_in_all_workers(outcomes: list[CommandOutcome], status: int) -> None:
    assert CommandReport(list(enumerate(outcomes))).status == status


def test_each_worker_has_an_entry() -> None:
    report = CommandReport([(0, DONE), (3, FAILED)])

    assert report.entries() == [{"worker": 0, "result": [1]}, {"worker": 3, "error": "ValueError: no"}]
    with pytest.raises(CommandError, match="worker 3: ValueError: no"):
        report.results()
    assert CommandReport([(0, DONE), (1, DONE)]).results() == [[1], [1]]
    with pytest.raises(CommandError, match="no worker serves"):
        CommandReport([]).results()


async def test_a_worker_that_is_gone_has_failed() -> None:
    async def gone() -> list[dict[str, object]]:
        raise OSError("it ended")

    async def done() -> list[dict[str, object]]:
        return [dict(json.loads(json.dumps(outcome_to_plain(DONE)))) for _ in range(2)]

    assert await outcomes_of(done(), 1) == [(1, DONE), (1, DONE)]
    ((number, outcome),) = await outcomes_of(gone(), 2)
    assert (number, outcome.kind, outcome.error) == (2, "failed", "the worker ended or did not reply: it ended")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(plugin_services.FOLDER_VARIABLE, raising=False)
    yield
    plugin_services.remove_folder()


def test_a_folder_is_made_for_us_alone_and_removed() -> None:
    folder = plugin_services.provide_folder()

    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ[plugin_services.FOLDER_VARIABLE] == str(folder)
    assert plugin_services.provide_folder() == folder
    plugin_services.remove_folder()
    assert not folder.exists()
    assert plugin_services.FOLDER_VARIABLE not in os.environ


def test_a_folder_that_somebody_else_names_is_used_and_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(plugin_services.FOLDER_VARIABLE, str(tmp_path))

    assert plugin_services.provide_folder() == tmp_path
    plugin_services.remove_folder()

    assert tmp_path.is_dir()


def test_what_a_killed_gateway_left_is_removed() -> None:
    code = "from gateway_core.process import plugin_services; print(plugin_services.provide_folder())"
    orphan = Path(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )
    assert orphan.is_dir()

    plugin_services.provide_folder()

    assert not orphan.exists()


PROVIDE = (
    "from gateway_core.process import plugin_services; print(plugin_services.provide_folder(), flush=True); input()"
)


@contextlib.contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run another gateway, as far as it has a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", PROVIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_of_a_living_gateway_stays_although_its_process_cannot_be_seen() -> None:
    with running() as (process, folder):
        # As if from another container: nothing here has its process id.
        elsewhere = folder.rename(folder.with_name(folder.name.replace(str(process.pid), str(2**22 + 1))))

        plugin_services.provide_folder()

        assert elsewhere.is_dir()
    plugin_services.remove_folder()
    plugin_services.provide_folder()
    assert not elsewhere.exists()


def test_a_folder_stays_while_a_program_that_took_the_process_over_lives() -> None:
    again = (
        "import os, sys; from gateway_core.process import plugin_services; plugin_services.provide_folder();"
        f"os.execv(sys.executable, ['python', '-c', {PROVIDE!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", again], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())

        plugin_services.provide_folder()

        assert folder.is_dir()
        process.kill()


def test_what_is_not_a_gateways_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_services, "_IN_MEMORY", tmp_path)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / ".lock").touch()
    (tmp_path / "gateway-1-link").symlink_to(precious)
    (tmp_path / "gateway-1-nolock").mkdir()
    (tmp_path / "gateway-1-locklink").mkdir()
    (tmp_path / "gateway-1-locklink" / ".lock").symlink_to(precious / ".lock")

    plugin_services.provide_folder()

    assert (precious / ".lock").exists()
    assert (tmp_path / "gateway-1-nolock").is_dir()
    assert (tmp_path / "gateway-1-locklink").is_dir()
