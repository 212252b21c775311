from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, GatewayConfig, ListenConfig, LoadedConfig, Place
from gateway_core.process.socket_table import SocketTable, bind_listeners
from gateway_core.process.sockets import BindError


def listen(*addresses: str) -> list[ListenConfig]:
    return [ListenConfig(address=address) for address in addresses]


@pytest.fixture
def table() -> Iterator[SocketTable]:
    table = SocketTable()
    yield table
    table.keep_only(())


def test_an_address_that_cannot_be_had_is_a_problem_with_its_place(table: SocketTable) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    config = GatewayConfig(listen=tuple(listen("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}")))
    loaded = LoadedConfig(config, {"listen[1]": Place("team-b.yaml", 3, 7)})

    with taken, pytest.raises(ConfigError) as caught:
        bind_listeners(table, loaded)

    (problem,) = caught.value.problems
    assert (problem.place, problem.code) == (Place("team-b.yaml", 3, 7), "listen.unavailable")
    assert "address already in use" in problem.message
    assert table.descriptors() == {}


def test_binding_is_all_or_nothing(table: SocketTable) -> None:
    with pytest.raises(BindError):
        table.bind(listen("127.0.0.1:0", "192.0.2.1:80"))

    assert "127.0.0.1:0" not in table
    assert table.descriptors() == {}


def test_a_unix_socket_that_is_bound_already_gets_another_mode(table: SocketTable, tmp_path: Path) -> None:
    address, path = f"unix:{tmp_path}/s", tmp_path / "s"
    table.bind([ListenConfig(address=address, mode="0600")])
    assert path.stat().st_mode & 0o777 == 0o600

    assert table.bind([ListenConfig(address=address, mode="0660")]) == []

    assert path.stat().st_mode & 0o777 == 0o660


def test_listeners_at_one_address_share_a_socket(table: SocketTable) -> None:
    shared = [ListenConfig(address="127.0.0.1:0", hosts=(name,)) for name in ("a.test", "b.test")]

    assert table.bind(shared) == ["127.0.0.1:0"]
    assert len(table.descriptors()) == 1


def test_from_all_addresses_of_ipv6_to_every_interface_both_families_are_served(table: SocketTable) -> None:
    table.bind(listen("[::]:0"))
    port = table["[::]:0"].getsockname()[1]

    assert table.bind(listen(f":{port}")) == [f":{port}"]
    table.keep_only(listen(f":{port}"))

    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port)).close()


def test_duplicates_outlive_the_table(table: SocketTable) -> None:
    table.bind(listen("127.0.0.1:0"))
    where = table["127.0.0.1:0"].getsockname()

    (descriptor,) = table.duplicates().values()
    table.forget()

    with socket.socket(fileno=descriptor), socket.create_connection(where):
        pass
