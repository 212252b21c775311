from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from gateway_core.config import parse_listen
from gateway_core.process import sockets


def bound(text: str) -> socket.socket:
    return sockets.bind(parse_listen(text), text)


def test_binds_an_ipv4_address() -> None:
    with bound("127.0.0.1:0") as sock:
        assert sockets.url_of(sock, "http") == f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert not sock.getblocking()


def test_binds_an_ipv6_address() -> None:
    with bound("[::1]:0") as sock:
        assert sockets.url_of(sock, "https") == f"https://[::1]:{sock.getsockname()[1]}"


def test_no_host_is_every_interface_in_both_families() -> None:
    with bound(":0") as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("::1", port)):
            pass


def test_a_taken_port_says_what_to_do() -> None:
    with bound("127.0.0.1:0") as sock:
        text = f"127.0.0.1:{sock.getsockname()[1]}"

        with pytest.raises(sockets.BindError, match=f"cannot listen on {text}: address already in use: stop what"):
            bound(text)


def test_every_interface_is_taken_where_another_program_has_the_port_for_ipv6_alone() -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::", 0))
        other.listen()

        with pytest.raises(sockets.BindError, match="address already in use: stop what listens there"):
            bound(f":{other.getsockname()[1]}")


def test_an_address_of_somebody_else_is_refused() -> None:
    with pytest.raises(sockets.BindError, match=r"cannot listen on 192\.0\.2\.1:80: cannot assign requested address"):
        bound("192.0.2.1:80")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(sockets.BindError, match=r"cannot listen on nowhere\.invalid:80"):
        bound("nowhere.invalid:80")


def test_a_unix_socket_takes_the_place_of_one_that_nobody_serves(tmp_path: Path) -> None:
    path = tmp_path / "s"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    sock = bound(f"unix:{path}")

    assert sockets.url_of(sock, "http") == f"unix:{path}"
    sockets.close(sock)
    assert not path.exists()


def test_a_unix_socket_that_is_served_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "s"
    sock = bound(f"unix:{path}")

    with pytest.raises(sockets.BindError, match="address already in use"):
        bound(f"unix:{path}")
    sockets.close(sock)


def test_a_file_in_the_place_of_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")

    with pytest.raises(sockets.BindError, match="is there already and is no socket: remove it"):
        bound(f"unix:{path}")
    assert path.read_text() == "precious"


def test_a_missing_directory_of_a_unix_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(sockets.BindError, match=r"there is no directory '.*gone': create it, or listen elsewhere"):
        bound(f"unix:{tmp_path}/gone/s")


def test_an_inherited_socket_accepts() -> None:
    with bound("127.0.0.1:0") as sock, sockets.adopt(os.dup(sock.fileno())) as adopted:
        with socket.create_connection(sock.getsockname()):
            adopted.setblocking(True)
            adopted.accept()[0].close()
        assert not os.get_inheritable(adopted.fileno())


def test_accepted_connections_notice_clients_that_vanished() -> None:
    with (
        bound("127.0.0.1:0") as listening,
        socket.create_connection(listening.getsockname()),
    ):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_the_file_of_a_unix_socket_gets_its_mode_and_owner(tmp_path: Path) -> None:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name

    for number, owner in enumerate([None, user, f"{user}:{group}", f"{os.getuid()}:{os.getgid()}"]):
        path = tmp_path / str(number)
        with sockets.bind(parse_listen(f"unix:{path}"), "here", "0610", owner):
            assert stat.S_IMODE(path.stat().st_mode) == 0o610
            assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())


def test_an_owner_that_is_not_there_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(sockets.BindError, match=r"cannot give unix:.* to nobody-at-all: no such user"):
        sockets.bind(parse_listen(f"unix:{tmp_path}/s"), "here", None, "nobody-at-all")

    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_file_of_a_unix_socket_stays_when_its_server_closes(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    path = tmp_path / "s"
    sock = bound(f"unix:{path}")

    async def serve_and_close() -> None:
        server = await sockets.serve_unix(asyncio.Protocol, sock)
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve_and_close())

    assert path.is_socket()
