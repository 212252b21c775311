"""What documents name outside of themselves: files, sockets, the environment and the admin listener.

Relative names of files start from the document. A document that is no file of this machine needs a right to name any of
these (``allow`` of its source); this is looked at before anything is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway_core.config.address import UNIX, parse_listen
from gateway_core.config.admin_targets import leads_to, urls_at
from gateway_core.config.checks.listeners import listeners
from gateway_core.config.checks.references import unix_sockets
from gateway_core.config.checks.scope import Scope, mappings, marked_texts, text, texts_at
from gateway_core.config.config_file import (
    DIRECTORY_KEY,
    ENVIRONMENT_KEY,
    FILE_KEY,
    OUTPUT_KEY,
    PROGRAM_KEY,
    STREAM_KEY,
    UPSTREAM_KEY,
)
from gateway_core.config.documents import NUL, Document
from gateway_core.config.expansion import DEFAULTS
from gateway_core.config.problems import KeyPath
from gateway_core.config.secret import USERINFO_KEY
from gateway_core.config.values import InvalidValueError


def check_config_files(scope: Scope, document_of: Callable[[str], Document]) -> list[Path]:
    """Report files that a document names which has no right to; return all others, which are to be watched.

    :param document_of: looks up a document by its name.
    """
    for path, name in (*section_files(scope.document), *_sockets(scope), *_factory_files(scope), *_unwatched(scope)):
        _allowed(scope, path, name, document_of)
    for path, name in _programs(scope):
        _allowed(scope, path, name, document_of, "a program")
    return [Path(name) for path, name in marked_texts(scope, FILE_KEY) if _allowed(scope, path, name, document_of)]


def _allowed(
    scope: Scope, path: KeyPath, name: str, document_of: Callable[[str], Document], what: str = "a file"
) -> bool:
    document = document_of(scope.place(path).file)
    if "files" in document.rights:
        return True
    message = f"{scope.shown(path, name)} names {what}, which {document.name} may not"
    scope.add(
        path,
        message,
        code="file.not-allowed",
        remedy="give it in a file of this machine, or write allow: [files] there, for the source or for admin",
    )
    return False


def make_paths_absolute(scope: Scope, document_of: Callable[[str], Document]) -> None:
    """Make relative names of files start from the directory of the document that says them."""
    named = [
        *section_files(scope.document),
        *_factory_files(scope),
        *marked_texts(scope, FILE_KEY),
        *_unwatched(scope),
    ]
    for path, name in named:
        directory = document_of(scope.place(path).file).directory
        if "\0" in name:
            scope.add(path, NUL, code="value.invalid", remedy="leave it out")
        elif name and directory is not None and not Path(name).is_absolute():
            _replace(scope.document, path, str(directory / name))


_SECTION_FILES: Final = (
    *(("listen", "*", "tls", key) for key in ("cert", "key", "client_ca", "client_crl")),
    *(("listen", "*", "tls", "certificates", "*", key) for key in ("cert", "key")),
    *(("upstreams", "*", "tls", key) for key in ("ca", "cert", "key")),
    *(("tracing", "otlp", key) for key in ("ca", "cert", "key")),
    *(("admin", "tls", key) for key in ("cert", "key", "client_ca")),
)
"""Where the gateway's own sections name files."""


def section_files(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that the gateway's own sections name, with their key paths."""
    for pattern in _SECTION_FILES:
        yield from texts_at(document, pattern)
    if isinstance(document.get("listen"), Mapping):
        for pattern in _SECTION_FILES:
            if pattern[0] == "listen":
                yield from texts_at(document, (pattern[0], *pattern[2:]))


def _sockets(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the unix sockets to listen on, and those that are spoken to.

    Such a listener makes a file, and removes the one that is there. What listens on a socket believes in the rights of
    its file: the gateway's own control socket, or that of a container engine.
    """
    yield from unix_sockets(scope.document)
    named = (
        *marked_texts(scope, UPSTREAM_KEY),
        *marked_texts(scope, USERINFO_KEY),
        *_factory_texts(scope, USERINFO_KEY),
    )
    yield from ((path, name) for path, name in named if name.startswith(UNIX))
    for path, listener in listeners(scope.document):
        address = listener.get("address")
        if isinstance(address, str) and address.startswith(UNIX):
            inner: Any = scope.document.get("listen")
            for step in path[1:]:
                inner = inner[step]
            yield (*path, "address") if isinstance(inner, Mapping) else path, address


def _factory_files(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files and directories that discoveries and certificates of extensions read or write."""
    for key in (FILE_KEY, DIRECTORY_KEY, OUTPUT_KEY):
        yield from _factory_texts(scope, key)
    yield from ((path, name) for path, name in _factory_texts(scope, STREAM_KEY) if name != "-")


def _programs(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the programs that plugins and extensions run, without their arguments."""
    named = (*marked_texts(scope, PROGRAM_KEY), *_factory_texts(scope, PROGRAM_KEY))
    yield from ((path, name) for path, name in named if path[-1] == 0)


def _factory_texts(scope: Scope, key: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield the values of discoveries and certificates that the schemas of their extensions mark."""
    for path, upstream in mappings(scope.document, "upstreams"):
        yield from _named_by(scope, "discovery", (*path, "discovery"), upstream.get("discovery"), key)
    for path, listener in listeners(scope.document):
        tls = listener.get("tls")
        for inner, entry in mappings(tls, "certificates", (*path, "tls")):
            yield from _named_by(scope, "certificates", inner, entry, key)


def _named_by(scope: Scope, section: str, path: KeyPath, entry: object, key: str) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping):
        for pattern in scope.marked_options(section, entry, key):
            yield from texts_at(entry["config"], pattern, (*path, "config"))


def _replace(document: Mapping[str, Any], path: KeyPath, value: str) -> None:
    inner: Any = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value


def _unwatched(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that plugins write, and the directories that they read."""
    yield from marked_texts(scope, DIRECTORY_KEY)
    yield from marked_texts(scope, OUTPUT_KEY)
    yield from ((path, name) for path, name in marked_texts(scope, STREAM_KEY) if name != "-")


# --- the environment and the admin listener

_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Variables with header fields for a collector of spans, which mostly are credentials."""


def withhold_environment(scope: Scope, document_of: Callable[[str], Document], environ: Mapping[str, str]) -> None:
    """Have what discoveries take from the environment be empty in documents without the right to it.

    Reports collectors of spans there that would be sent header fields of the environment.

    :param document_of: looks up a document by its name.
    """
    for path, upstream in mappings(scope.document, "upstreams"):
        entry = upstream.get("discovery")
        if not isinstance(entry, dict) or "env" in document_of(scope.place((*path, "discovery")).file).rights:
            continue
        for option, *_ in scope.marked_options("discovery", entry, ENVIRONMENT_KEY):
            # What is left out, or null, would be taken from the environment.
            config = entry["config"] = {} if entry.get("config") is None else entry["config"]
            if isinstance(config, dict) and config.get(option) is None:
                config[option] = ""
    _check_collector(scope, document_of, environ)


def _check_collector(scope: Scope, document_of: Callable[[str], Document], environ: Mapping[str, str]) -> None:
    tracing: Any = scope.document.get("tracing")
    otlp = tracing.get("otlp") if isinstance(tracing, Mapping) else None
    path = ("tracing", "otlp", "url")
    if not isinstance(otlp, Mapping) or text(otlp, "url") is None:
        return
    document = document_of(scope.place(path).file)
    variable = next((name for name in _HEADERS if environ.get(name)), None)
    if variable is not None and "env" not in document.rights:
        message = f"would be sent the fields of {variable}, which {document.name} may not use"
        remedy = "give it in a file of this machine, or name the source in sources there with allow: [env]"
        scope.add(path, message, code="substitution.not-allowed", remedy=remedy)


def check_admin_targets(scope: Scope, document_of: Callable[[str], Document]) -> None:
    """Report addresses of the admin listener in documents without the right to files.

    What comes over the loopback interface counts as of this machine there, as what comes over a unix socket does.
    """
    admin = scope.document.get("admin")
    named = [text(admin, key) or "" for key in ("listen", "health_listen")] if isinstance(admin, Mapping) else []
    taken = [each for each in named if _is_tcp(each)]
    if not taken:
        return
    # What defaults hold stands in each of their routes.
    others = {key: value for key, value in scope.document.items() if key not in {"admin", DEFAULTS}}
    for path, url in urls_at(others):
        if leads_to(url, taken):
            document = document_of(scope.place(path).file)
            if "files" not in document.rights:
                scope.add(
                    path,
                    f"{scope.shown(path, url)} leads to the admin listener, which {document.name} may not",
                    code="admin.not-allowed",
                    remedy="route to it in a file of this machine, or write allow: [files] there, for the source",
                )


def _is_tcp(address: str) -> bool:
    try:
        return not address.startswith(UNIX) and parse_listen(address).port != 0
    except InvalidValueError:
        return False  # a problem of its own
