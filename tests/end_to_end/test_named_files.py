"""Every key that names a file: ``gateway check`` refuses what a start could not use, in plain words.

The keys are those of the sections, and what plugins and extensions mark in their schemas without opening it themselves
when the configuration is validated, as a `ConfigFile` is.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_core.cli.examination import examine
from gateway_core.config.checks.rights import _SECTION_FILES
from gateway_core.packages import PluginRegistry

from tests.core.process import certificates

LISTEN = "listen: '127.0.0.1:0'\n"
ROUTE = "routes: [{id: r, path: /, target: 'http://127.0.0.1:1'}]\n"


def tls(text: str) -> str:
    return f"listen: [{{address: '127.0.0.1:0', tls: {{{text}}}}}]\n{ROUTE}"


def upstream(text: str) -> str:
    return f"{LISTEN}upstreams: [{{name: u, endpoints: [{{url: 'https://127.0.0.1:1'}}], tls: {{{text}}}}}]\n{ROUTE}"


def tracing(text: str) -> str:
    return f"{LISTEN}tracing: {{otlp: {{url: 'https://127.0.0.1:1', {text}}}}}\n{ROUTE}"


def admin(text: str) -> str:
    return f"{LISTEN}admin: {{listen: '127.0.0.1:0', tls: {{{text}}}}}\n{ROUTE}"


def discovery(text: str) -> str:
    return f"{LISTEN}upstreams: [{{name: u, discovery: {text}}}]\n{ROUTE}"


def plugin(text: str) -> str:
    return f"{LISTEN}plugins: [{text}]\n{ROUTE}"


SECTIONS = {
    ("listen", "*", "tls", "cert"): tls("cert: $FILE, key: one.key"),
    ("listen", "*", "tls", "key"): tls("cert: one.crt, key: $FILE"),
    ("listen", "*", "tls", "client_ca"): tls("cert: one.crt, key: one.key, client_ca: $FILE"),
    ("listen", "*", "tls", "client_crl"): tls("cert: one.crt, key: one.key, client_ca: one.crt, client_crl: $FILE"),
    ("listen", "*", "tls", "certificates", "*", "cert"): tls("certificates: [{cert: $FILE, key: one.key}]"),
    ("listen", "*", "tls", "certificates", "*", "key"): tls("certificates: [{cert: one.crt, key: $FILE}]"),
    ("upstreams", "*", "tls", "ca"): upstream("ca: $FILE"),
    ("upstreams", "*", "tls", "cert"): upstream("cert: $FILE, key: one.key"),
    ("upstreams", "*", "tls", "key"): upstream("cert: one.crt, key: $FILE"),
    ("tracing", "otlp", "ca"): tracing("ca: $FILE"),
    ("tracing", "otlp", "cert"): tracing("cert: $FILE, key: one.key"),
    ("tracing", "otlp", "key"): tracing("cert: one.crt, key: $FILE"),
    ("admin", "tls", "cert"): admin("cert: $FILE, key: one.key"),
    ("admin", "tls", "key"): admin("cert: one.crt, key: $FILE"),
    ("admin", "tls", "client_ca"): admin("cert: one.crt, key: one.key, client_ca: $FILE"),
}
ETCD = "{name: etcd, config: {endpoints: ['https://127.0.0.1:1'], prefix: a, %s}}"
CONSUL = "{name: consul, config: {service: a, address: 'https://127.0.0.1:1', %s}}"
OTHERS = {
    "include": f"include: [$FILE]\n{LISTEN}{ROUTE}",
    "a substitution": f"{LISTEN}routes: [{{id: r, path: /, respond: {{body: '${{file:$FILE}}'}}}}]\n",
    "auth: jwks_file": plugin("{name: auth, config: {jwks_file: $FILE}}"),
    "auth: users_file": plugin("{name: auth, config: {providers: {a: {scheme: basic, users_file: $FILE}}}}"),
    "auth: keys_file": plugin("{name: auth, config: {providers: {a: {scheme: api-key, keys_file: $FILE}}}}"),
    "auth: revocation": plugin(
        "{name: auth, config: {jwks_url: 'https://127.0.0.1:1/', issuer: a, revocation: {file: $FILE}}}"
    ),
    "consul: ca": discovery(CONSUL % "tls: {ca: $FILE}"),
    "consul: cert": discovery(CONSUL % "tls: {cert: $FILE, key: one.key}"),
    "consul: key": discovery(CONSUL % "tls: {cert: one.crt, key: $FILE}"),
    "consul: token_file": discovery(CONSUL % "token_file: $FILE"),
    "etcd: ca": discovery(ETCD % "ca: $FILE"),
    "etcd: cert": discovery(ETCD % "cert: $FILE, key: one.key"),
    "etcd: key": discovery(ETCD % "cert: one.crt, key: $FILE"),
    "kubernetes: kubeconfig": discovery("{name: kubernetes, config: {service: a, port: 80, kubeconfig: $FILE}}"),
    "logger: path": plugin("{name: logger, config: {path: $FILE}}"),
    "logger: sinks": plugin("{name: logger, config: {sinks: [{type: file, path: $FILE}]}}"),
    "static: root": plugin("{name: static, config: {root: $FILE}}"),
}
BAD = {
    "missing": "$HERE/gone/x",
    "a directory": "$HERE/folder",
    "a pipe": "$HERE/pipe",
    "too long": f"$HERE/{'n' * 300}",
    "with NUL": '"a\\0b"',
}


def test_every_file_of_the_sections_is_looked_at_here() -> None:
    assert SECTIONS.keys() == set(_SECTION_FILES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    certificates.make(tmp_path, "one")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


CASES = [
    (key, kind)
    for key in [*SECTIONS, *OTHERS]
    for kind in BAD
    if (key, kind) != ("static: root", "a directory")
    and not (str(key).startswith("logger") and kind == "a pipe")  # its reader may come later
    and not (key == "a substitution" and kind == "with NUL")  # which ends no reference
    and not (key == "consul: token_file" and kind != "with NUL")  # it is read when a token is needed
]


@pytest.mark.parametrize(("key", "kind"), CASES, ids=lambda each: each if isinstance(each, str) else ".".join(each))
def test_what_a_start_cannot_use_is_a_problem(folder: Path, key: str | tuple[str, ...], kind: str) -> None:
    text = SECTIONS[key] if isinstance(key, tuple) else OTHERS[key]
    name = BAD[kind].replace("$HERE", str(folder))
    config = folder / "gateway.yaml"
    config.write_text(text.replace("$FILE", name))

    found = examine((config,), PluginRegistry(), environ={})

    told = "holds the character NUL" if kind == "with NUL" else name[:40]  # long values are cut
    assert not found.is_fine
    assert any(told in problem.message or problem.place.file == name for problem in found.problems)
    assert all("Errno" not in problem.message for problem in found.problems)
