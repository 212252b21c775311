from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from gateway_core.cli.examination import Examination, examine
from gateway_core.cli.reporting import exit_status
from gateway_core.config.sources import parse_root
from gateway_core.packages import PluginRegistry

from tests.core.cli.conftest import Invoke
from tests.core.process.certificates import Authority, encrypted, make

ROUTE = "routes: [{id: r, path: /, target: 'http://127.0.0.1:1'}]\n"


def look(*roots: Path | str, offline: bool = False, registry: PluginRegistry | None = None) -> Examination:
    """Examine a configuration; no plugin is installed unless there is a registry."""
    found = PluginRegistry(find=dict) if registry is None else registry
    return examine(tuple(parse_root(str(root)) for root in roots), found, offline=offline)


def codes(found: Examination) -> list[tuple[str, str]]:
    return [(problem.code, problem.severity) for problem in found.problems]


@pytest.mark.parametrize(
    "text",
    [
        "include: [gone.yaml]\n" + ROUTE,
        ROUTE.replace("id: r", "id: r, description: '${file:gone}'"),
        "workers: ${file:gone}\n" + ROUTE,
        "listen: [{address: ':0', tls: {cert: gone.pem, key: gone.pem}}]\n" + ROUTE,
        "admin: {listen: '127.0.0.1:0', tls: {cert: gone.pem, key: gone.pem}}\n" + ROUTE,
        "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: gone.pem}}]\n"
        + ROUTE.replace("'http://127.0.0.1:1'", "u"),
    ],
)
def test_missing_files_are_errors_and_offline_warnings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)

    assert set(codes(look(path))) == {("file.missing", "error")}
    assert exit_status(look(path).problems) == 1
    assert set(codes(look(path, offline=True))) == {("file.missing", "warning")}
    assert exit_status(look(path, offline=True).problems) == 0


def test_broken_files_are_errors_offline_too(tmp_path: Path) -> None:
    path, broken = tmp_path / "gateway.yaml", tmp_path / "broken.pem"
    broken.write_text("nonsense")
    path.write_text(f"listen: [{{address: ':0', tls: {{cert: '{broken}', key: '{broken}'}}}}]\n{ROUTE}")

    assert codes(look(path, offline=True)) == [("tls.unusable", "error")]


def test_files_of_the_admin_listener_start_from_the_configuration_and_are_checked(tmp_path: Path) -> None:
    one, other = make(tmp_path, "one"), make(tmp_path, "other")
    secret = encrypted(one)
    (tmp_path / "none.pem").write_text("nonsense")
    path = tmp_path / "gateway.yaml"

    def problems(**files: str) -> list[str]:
        named = ", ".join(f"{key}: {name}" for key, name in {"cert": "one.crt", "key": "one.key", **files}.items())
        path.write_text(f"admin: {{listen: '127.0.0.1:0', tls: {{{named}}}}}\n{ROUTE}")
        return [str(problem).removeprefix(f"{path}:1:37: admin.tls: ") for problem in look(path).problems]

    assert problems() == []
    (mismatch,) = problems(key=other.key.name)
    assert mismatch.startswith(
        f"certificate '{one.cert}' with key '{other.key}' cannot be used: the key does not belong"
    )
    (locked,) = problems(key=secret.name)
    assert "cannot be used: the key is encrypted" in locked
    (authorities,) = problems(client_ca="none.pem")
    assert authorities.startswith(f"client_ca '{tmp_path}/none.pem' is not a PEM file of certificates")


@pytest.mark.parametrize("key", ["listen", "health_listen"])
def test_an_admin_address_that_this_machine_cannot_have_is_shown_with_its_place(tmp_path: Path, key: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"{ROUTE}admin:\n  {key}: unix:{tmp_path}/missing/a.sock\n")

    (problem,) = look(path).problems
    assert str(problem).startswith(f"{path}:3:{5 + len(key)}: admin.{key}: there is no directory")


def test_a_file_that_exists_and_cannot_be_read_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(ROUTE.replace("id: r", "id: r, description: '${file:/proc/self/mem}'"))

    assert codes(look(path)) == [("file.unreadable", "error")]
    assert exit_status(look(path).problems) == 3

    path.write_text(path.read_text() + "nonsense: 1\n")
    assert exit_status(look(path).problems) == 1


def test_a_source_that_does_not_respond_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(ROUTE)
    found = look(path, "http://127.0.0.1:1/gateway.yaml")

    assert codes(found) == [("source.unavailable", "error")]
    assert exit_status(found.problems) == 3


def test_the_url_of_a_source_that_cannot_work_is_a_problem() -> None:
    found = look("nosuch://127.0.0.1:1/gateway")

    assert codes(found) == [("source.invalid", "error")]
    assert exit_status(found.problems) == 1


@pytest.mark.parametrize("offline", [False, True])
def test_options_of_the_urls_of_sources_are_checked_without_asking(tmp_path: Path, offline: bool) -> None:
    bad = [
        "etcd://127.0.0.1:1/x?nonsense=1",
        "http://127.0.0.1:1/x?interval=5x",
        "http://elsewhere.example/x",
        "consul://127.0.0.1:1/x?wait=1h",
    ]
    path = tmp_path / "gateway.yaml"
    registry = PluginRegistry()

    for url in bad:
        path.write_text(f"sources: [{{url: '{url}'}}]\n" + ROUTE)
        for root in (url, path):
            assert exit_status(look(root, offline=offline, registry=registry).problems) == 1, root


def test_a_missing_file_of_a_sources_url_is_a_warning_offline() -> None:
    url = "etcd://127.0.0.1:1/x?ca=/nowhere/ca.pem"

    assert codes(look(url)) == [("file.missing", "error")]
    assert ("file.missing", "warning") in codes(look(url, offline=True))


def test_offline_no_source_is_asked_and_names_that_it_may_define_are_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(ROUTE.replace("'http://127.0.0.1:1'", "elsewhere"))
    source = "http://127.0.0.1:1/gateway.yaml"

    assert codes(look(path, offline=True)) == [("upstream.unknown", "error")]
    assert codes(look(path, source, offline=True)) == [("source.not-asked", "warning")]
    assert codes(look(source, offline=True)) == [("source.not-asked", "warning")]


def test_strict_makes_errors_of_warnings(tmp_path: Path) -> None:
    found = look("http://127.0.0.1:1/gateway.yaml", offline=True)

    assert found.is_fine
    assert not found.strict().is_fine
    assert exit_status(found.strict().problems) == 1


def test_a_revocation_list_that_has_expired_is_a_warning(invoke: Invoke, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"listen: {{address: '127.0.0.1:0', tls: {{cert: {authority.ca.cert}, key: {authority.ca.key},"
        f" client_ca: {authority.ca.cert}, client_crl: {authority.crl}}}}}\n"
        "routes: [{path: /, target: 'http://127.0.0.1:1'}]\n"
    )
    authority.publish()
    assert "warning" not in invoke("check", "-c", config).output

    authority.publish("20200102030405Z")
    result = invoke("check", "-c", config)

    assert result.exit_code == 0
    assert f"listen[0].tls.client_crl: warning: client_crl '{authority.crl}' has expired" in result.output
    assert invoke("check", "--strict", "-c", config).exit_code == 1


@pytest.mark.parametrize(
    ("owner", "unknown"),
    [
        ("0:0", None),
        ("root", None),
        ("no-such-user", "user 'no-such-user'"),
        ("0:no-such-group", "group 'no-such-group'"),
    ],
)
def test_an_owner_that_this_machine_does_not_know_is_a_problem(tmp_path: Path, owner: str, unknown: str | None) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"listen: {{address: 'unix:{tmp_path}/s', owner: '{owner}'}}\n")

    found = look(config)

    assert codes(found) == ([] if unknown is None else [("listen.owner-unknown", "error")])
    assert unknown is None or found.problems[0].text.startswith(f"there is no {unknown} on this machine")
    assert codes(look(config, offline=True)) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone/s", "there is no directory"),
        ("file/s", "there is no directory"),
        ("file", "is there already and is no socket"),
        ("folder", "is there already and is no socket"),
        ("link", "is a link that leads nowhere"),
        ("folder/s", None),
        ("stale", None),
    ],
)
@pytest.mark.parametrize("section", ["listen: 'unix:%s'\n", "admin: {listen: 'unix:%s'}\n"])
def test_what_is_in_the_way_of_a_unix_socket_is_a_problem(
    tmp_path: Path, section: str, name: str, message: str | None
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    config = tmp_path / "gateway.yaml"
    config.write_text(section % (tmp_path / name) + ROUTE)

    found = look(config)

    assert codes(found) == ([] if message is None else [("listen.unavailable", "error")])
    assert message is None or message in found.problems[0].message
    assert codes(look(config, offline=True)) == []


@pytest.mark.parametrize("section", ["listen: 'unix:%s'\n", "admin: {health_listen: 'unix:%s'}\n"])
def test_a_directory_in_which_no_socket_can_be_made_is_a_warning(tmp_path: Path, section: str) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(section % "/proc/gateway.sock" + ROUTE)

    found = look(config)

    assert codes(found) == [("listen.unavailable", "warning")]
    assert "cannot listen on unix:/proc/gateway.sock: no such file or directory" in found.problems[0].message
    assert codes(look(config, offline=True)) == []


def test_trying_a_directory_for_a_socket_leaves_nothing_in_it(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"listen: {{address: 'unix:{tmp_path}/gateway.sock', mode: '0660', owner: '0:0'}}\n" + ROUTE)

    assert codes(look(config)) == []

    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1:8080", [("listen.unavailable", "warning")]),  # an address for documentation (RFC 5737)
        ("127.0.0.2:1", []),
        ("0.0.0.0:8081", []),
        (":8081", []),
    ],
)
@pytest.mark.parametrize(
    "section",
    ["listen: '%s'\n", "admin: {listen: '%s'}\n", "admin: {listen: '127.0.0.1:9', health_listen: '%s'}\n"],
)
def test_an_address_that_is_another_machines_is_a_warning(
    tmp_path: Path, section: str, address: str, expected: list[tuple[str, str]]
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(section % address + ROUTE)

    found = look(config)

    assert [each for each in codes(found) if each[0] != "admin.exposed"] == expected
    assert found.is_fine
    assert "listen.unavailable" not in dict(codes(look(config, offline=True)))


def test_a_distribution_that_cannot_be_read_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / "site" / "half_installed-1.0.dist-info"
    half.mkdir(parents=True)
    (half / "entry_points.txt").write_text("[gateway.plugins]\nx = no-module:\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "gateway.yaml").write_text("routes: [{path: /, target: 'http://127.0.0.1:1'}]")

    found = examine((parse_root(str(tmp_path / "gateway.yaml")),), PluginRegistry())

    assert [each.code for each in found.problems] == ["plugin.distribution-broken"]
    assert "half_installed" in found.problems[0].text
    assert found.is_fine


@pytest.mark.parametrize(
    ("otlp", "environ", "is_usable"),
    [
        ("{ca: gone.pem}", {}, False),
        ("{cert: gone.pem, key: gone.pem}", {}, False),
        ("{}", {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/gone.pem"}, False),
        ("{ca: gone.pem}", {"OTEL_SDK_DISABLED": "true"}, True),
        ("{protocol: http/protobuf}", {}, True),
        ("{}", {}, True),
    ],
)
def test_files_that_the_exporter_of_spans_cannot_use_are_an_error(
    tmp_path: Path, otlp: str, environ: dict[str, str], is_usable: bool
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"tracing: {{otlp: {otlp}}}\n{ROUTE}")

    found = examine((parse_root(str(path)),), PluginRegistry(find=dict), environ=environ)

    assert codes(found) == ([] if is_usable else [("tracing.unusable", "error")])


def test_a_variable_that_names_an_unusable_file_is_named(tmp_path: Path) -> None:
    path, environ = tmp_path / "gateway.yaml", {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"}
    messages = []
    for otlp in ("{}", "{ca: /nowhere/ca.pem}"):
        path.write_text(f"tracing: {{otlp: {otlp}}}\n{ROUTE}")
        found = examine((parse_root(str(path)),), PluginRegistry(find=dict), environ=environ)
        messages += [problem.message for problem in found.problems]

    assert ["OTEL_EXPORTER_OTLP_CERTIFICATE" in message for message in messages] == [True, False]


def test_the_library_that_protocol_buffers_need_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("tracing: {otlp: {protocol: http/protobuf}}\n" + ROUTE)
    monkeypatch.setitem(sys.modules, "gateway_core.observe.tracing.otlp_binary", None)

    (problem,) = look(path).problems

    assert problem.code == "tracing.unusable"
    assert "pip install gateway-core[otlp]" in problem.message
