"""What ``gateway check`` refuses and what ``gateway run`` refuses is the same, with the same problems.

Apart from an address that another program listens on, which only binding it shows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.commands import start as commands
from tests.core.process import certificates
from tests.end_to_end.kit import Gateway

LISTEN = "listen: '127.0.0.1:0'\n"
ROUTE = "routes: [{id: r, path: /, target: 'http://127.0.0.1:1'}]\n"


def plugin(text: str) -> str:
    return f"{LISTEN}plugins: [{text}]\n{ROUTE}"


def discovery(text: str) -> str:
    return f"{LISTEN}upstreams: [{{name: u, discovery: {text}}}]\n{ROUTE}"


def tls(text: str) -> str:
    return f"listen: {{address: '127.0.0.1:0', tls: {{{text}}}}}\n{ROUTE}"


BAD = {
    "a misspelt option of etcd": discovery("{name: etcd, config: {endpoints: ['http://127.0.0.1:1'], prefx: a}}"),
    "an address that consul cannot have": discovery("{name: consul, config: {service: a, address: 'ftp://x'}}"),
    "a misspelt option of dns": discovery("{name: dns, config: {host: a, prt: 1}}"),
    "listeners that overlap": "listen: ['127.0.0.1:18080', ':18080']\n" + ROUTE,
    "a listener at the admin's address": "listen: ':18081'\nadmin: {listen: '127.0.0.1:18081'}\n" + ROUTE,
    "a missing key": tls("cert: one.crt, key: gone.key"),
    "a key of another certificate": tls("cert: one.crt, key: two.key"),
    "text for a certificate": tls("cert: notes.txt, key: one.key"),
    "text for a revocation list": tls("cert: one.crt, key: one.key, client_ca: one.crt, client_crl: notes.txt"),
    "certificates that nothing offers": tls("certificates: [{name: vault}]"),
    "missing authorities of an upstream": LISTEN
    + "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: gone.pem}}]\n"
    + ROUTE,
    "text for authorities of an upstream": LISTEN
    + "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: notes.txt}}]\n"
    + ROUTE,
    "a missing key set": plugin("{name: auth, config: {jwks_file: gone.json}}"),
    "a users file of other lines": plugin(
        "{name: auth, config: {providers: {a: {scheme: basic, users_file: notes.txt}}}}"
    ),
    "a log in a missing directory": plugin("{name: logger, config: {path: gone/access.log}}"),
    "a key that a plugin does not know": plugin("{name: ratelimit, config: {rate: 1, store: redis, url: 'ftp://x'}}"),
    "a socket that no user may connect to": "listen: {address: 'unix:$HERE/g.sock', mode: '0000'}\n" + ROUTE,
    "a number that no user has": "listen: {address: 'unix:$HERE/g.sock', owner: '4294967295'}\n" + ROUTE,
    "an unknown owner": "listen: {address: 'unix:$HERE/g.sock', owner: nobody-such}\n" + ROUTE,
    "a socket in a missing directory": "listen: 'unix:$HERE/gone/g.sock'\n" + ROUTE,
    "a socket in the place of a file": "listen: 'unix:$HERE/notes.txt'\n" + ROUTE,
    "an unknown option of a source": f"sources: [{{url: 'etcd://127.0.0.1:1/x?nonsense=1'}}]\n{LISTEN}{ROUTE}",
    "a source that nothing provides": f"sources: [{{url: 'nonesuch://127.0.0.1:1/x'}}]\n{LISTEN}{ROUTE}",
    "a rewrite that cannot be": LISTEN + ROUTE.replace("path: /,", "path: /a, rewrite: {template: '/:nonesuch'},"),
}


def environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(folder / "state")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        certificates.make(tmp_path, name)
    (tmp_path / "notes.txt").write_text("bread, milk\n")
    return tmp_path


@pytest.mark.parametrize("kind", BAD)
def test_run_refuses_what_check_refuses_with_the_same_problems(folder: Path, kind: str) -> None:
    config = folder / "gateway.yaml"
    config.write_text(BAD[kind].replace("$HERE", str(folder)))

    checked = commands.run("check", "--json", config, directory=folder, environ=environ(folder))
    ran = commands.run("run", config, directory=folder, environ=environ(folder))

    log = ran.stderr
    problems = [problem for problem in json.loads(checked.stdout)["problems"] if problem["severity"] == "error"]
    assert (checked.returncode, ran.returncode) == (1, 1), log
    assert problems
    for problem in problems:
        place = f"{problem['file']}:{problem['line']}:{problem['column']}" if problem["line"] else problem["file"]
        where = f"{place}: {problem['key']}: " if problem["key"] else f"{place}: "
        assert where + problem["message"] in log
    assert "Traceback" not in log
    assert r"\n" not in log, "an excerpt is lines of its own"


FINE = {
    "a certificate": tls("cert: one.crt, key: one.key"),
    "a socket with an owner": "listen: {address: 'unix:$HERE/g.sock', mode: '0660', owner: '0:0'}\n" + ROUTE,
    "health alone": f"admin: {{health_listen: '127.0.0.1:0'}}\n{LISTEN}{ROUTE}",
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", FINE)
async def test_run_starts_with_what_check_finds_fine(folder: Path, kind: str, workers: int) -> None:
    config = folder / "gateway.yaml"
    config.write_text(FINE[kind].replace("$HERE", str(folder)) + f"workers: {workers}\n")

    assert commands.run("check", config, directory=folder, environ=environ(folder)).returncode == 0

    running = Gateway(config, environ=environ(folder))
    try:
        await running.ready()
        await running.stops()
    finally:
        running.kill()
