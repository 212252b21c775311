from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import pytest
from gateway_core.config.sources import SourceUrl, parse_root
from gateway_core.errors import GatewayError
from gateway_core.process.control_socket import (
    ControlSocket,
    control_directory,
    find_sockets,
    find_starting,
    socket_address,
    socket_path,
)

from tests.core.admin.test_listener import View


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def dead() -> int:
    """The id of a process that is gone."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True)
    return int(done.stdout)


def control(path: Path) -> ControlSocket:
    return ControlSocket(path, View(), lambda: False)


def test_the_directory_is_the_users_own() -> None:
    assert control_directory({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7/gateway")
    assert control_directory({"XDG_RUNTIME_DIR": "relative"}).name == f"gateway-{os.geteuid()}"


def test_the_name_tells_configuration_and_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = parse_root("etcd://h/a")
    assert isinstance(url, SourceUrl)

    assert socket_path(tmp_path, [Path("a")], 7) == socket_path(tmp_path, [tmp_path / "a"], 7)
    all_roots: list[list[Path | SourceUrl]] = [[Path("a")], [Path("b")], [url], [Path("a"), url]]
    names = {socket_path(tmp_path, roots, pid) for roots in all_roots for pid in (7, 8)}
    assert len(names) == 8


def test_the_name_stays_when_a_config_map_is_swapped(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.symlink_to("..data/gateway.yaml")
    names = set()
    for version in ("..2026_1", "..2026_2"):
        (tmp_path / version).mkdir()
        (tmp_path / "..next").symlink_to(version)
        (tmp_path / "..next").replace(tmp_path / "..data")
        names.add(socket_path(tmp_path, [file], 7))

    assert len(names) == 1


async def test_serves_the_admin_api_to_its_user_alone(tmp_path: Path) -> None:
    path = socket_path(tmp_path / "run" / "gateway", [Path("a")], os.getpid())
    opened = control(path)
    await opened.open()

    with socket_address(path) as address:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(address)) as session,
            session.post("http://gateway/api/v1/bindings/b/purge") as response,
        ):
            assert await response.json() == [{"worker": 0, "result": ["b", "purge", {}]}]
    assert find_sockets(path.parent, roots=[Path("a")]) == find_sockets(path.parent, pid=os.getpid()) == [path]
    assert find_sockets(path.parent, roots=[Path("b")]) == find_sockets(path.parent, pid=1) == []
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    await opened.aclose()
    assert not path.exists()


def leave_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


async def test_what_a_dead_gateway_left_is_not_found_and_is_removed(folder: Path, dead: int) -> None:
    stale = socket_path(folder, [Path("a")], dead)
    exchanging = socket_path(folder, [Path("b")], os.getppid())
    leave_behind(stale)
    leave_behind(exchanging)
    assert find_sockets(folder) == [exchanging]  # its process lives: its program may be about to listen

    opened = control(socket_path(folder, [Path("c")], os.getpid()))
    await opened.open()

    assert not stale.exists()
    assert set(find_sockets(folder)) == {exchanging, opened.path}
    await opened.aclose()


async def test_a_gateway_that_starts_is_found_with_what_it_waits_for_until_it_listens_or_ends(
    folder: Path, dead: int
) -> None:
    killed = control(socket_path(folder, [Path("a")], dead))
    killed.announce("waiting for a source")
    opened = control(socket_path(folder, [Path("a")], os.getpid()))

    opened.announce("reading its configuration")
    opened.announce("waiting for a source")

    assert find_starting(folder) == find_starting(folder, roots=[Path("a")]) == {os.getpid(): "waiting for a source"}
    assert find_starting(folder, roots=[Path("b")]) == find_starting(folder, pid=1) == {}
    assert find_sockets(folder) == []
    await opened.open()
    assert find_starting(folder) == {}
    await opened.aclose()
    opened.announce("reading its configuration")
    opened.withdraw()
    assert find_starting(folder) == {}


def test_what_a_gateway_waits_for_is_not_written_where_others_may_change_it(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)

    control(socket_path(directory, [Path("a")], 1)).announce("waiting")

    assert list(directory.iterdir()) == []


async def test_a_gateway_that_runs_is_not_connected_to_when_sockets_are_looked_for(folder: Path) -> None:
    running = socket_path(folder, [Path("a")], os.getppid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(running))
        listening.listen()
        listening.setblocking(False)

        opened = control(socket_path(folder, [Path("a")], os.getpid()))
        await opened.open()
        found = find_sockets(folder)
        await opened.aclose()

        assert found == sorted([running, opened.path])
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_the_next_program_takes_the_name_over(folder: Path) -> None:
    first, second = (control(socket_path(folder, [Path("a")], os.getpid())) for _ in range(2))
    await first.open()
    await first.aclose(keeps_file=True)
    assert find_sockets(folder) == [first.path]

    await second.open()

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(first.path))
    await second.aclose()


async def test_a_directory_that_others_may_change_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    opened = control(socket_path(directory, [Path("a")], 1))

    await opened.open()

    assert "run chmod 700" in caplog.text
    assert list(directory.iterdir()) == []
    await opened.aclose()


def test_sockets_are_not_looked_for_where_others_could_put_them() -> None:
    # Below /tmp itself: the address of a socket is short.
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as false:
        directory = Path(name)
        directory.chmod(0o777)
        false.bind(str(socket_path(directory, [Path("a")], os.getpid())))
        false.listen()

        with pytest.raises(GatewayError, match="not a directory for this user alone: run this as the gateway's user"):
            find_sockets(directory)


def test_what_is_no_directory_is_an_error_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(GatewayError, match="gateway cannot be read: not a directory"):
        find_sockets(tmp_path / "file" / "gateway")
    assert find_sockets(tmp_path / "gone") == []


async def test_a_directory_may_have_a_longer_path_than_an_address_of_a_socket(tmp_path: Path) -> None:
    directory = tmp_path / ("a" * 120)
    path = socket_path(directory, [Path("a")], os.getpid())
    opened = control(path)

    await opened.open()

    assert find_sockets(directory) == [path]
    with socket.socket(socket.AF_UNIX) as client, socket_address(path) as address:
        client.connect(address)
    await opened.aclose()
    assert not path.exists()


def test_a_machine_without_a_directory_for_temporary_files_has_a_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_at_all() -> str:
        raise FileNotFoundError("no usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none_at_all)

    assert control_directory({}) == Path(f"/tmp/gateway-{os.geteuid()}")
