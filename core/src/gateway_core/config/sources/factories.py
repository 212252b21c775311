"""Which sources there are: those that the core and extensions have by URL scheme, and those that local files name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from gateway_core.config.documents import LARGEST_FILE, ReadFailure, document_files, read_bytes
from gateway_core.config.models.process import LogConfig, SourceConfig
from gateway_core.config.source import ConfigSource, SourceContext, SourceFactory, SourceUrl


class UnknownSourceError(ValueError):
    """A scheme that neither the core nor an extension has."""


def _http(url: SourceUrl, context: SourceContext) -> ConfigSource:
    from gateway_core.config.sources.http_source import HttpSource  # noqa: PLC0415  # aiohttp takes long to import

    return HttpSource(url, context)


BUILT_IN: Final[Mapping[str, SourceFactory]] = {"http": _http, "https": _http}


def make_source(url: SourceUrl, context: SourceContext, extensions: Mapping[str, SourceFactory]) -> ConfigSource:
    """Make the source of a URL; extensions cannot replace the core's.

    :param extensions: what extensions offer, by scheme.
    :raises UnknownSourceError: nobody has its scheme.
    :raises ValueError: the URL cannot work.
    """
    factory = BUILT_IN.get(url.scheme) or extensions.get(url.scheme)
    if factory is None:
        known = ", ".join([*BUILT_IN, *sorted(extensions)])
        raise UnknownSourceError(
            f"{url.scheme!r} is no source of configuration: known are {known}, or install gateway-plugin-{url.scheme}"
        )
    return factory(url, context)


def configured_urls(paths: Sequence[Path], environ: Mapping[str, str]) -> tuple[SourceUrl, ...]:
    """Return the sources that these files and directories name, in their order. Blocks.

    What cannot be read is left out: loading the configuration reports it.
    """
    found: dict[str, SourceUrl] = {}
    for written in _written(paths, environ, "sources"):
        for entry in written if isinstance(written, list) else ():
            url = _url(entry)
            if url is not None:
                found.setdefault(url.identity, url)
    return tuple(found.values())


def configured_log(paths: Sequence[Path], environ: Mapping[str, str]) -> LogConfig:
    """Return how these files and directories have the log written; the default if they do not say. Blocks."""
    for written in _written(paths, environ, "log"):
        try:
            return LogConfig.model_validate(written)
        except ValidationError:
            break  # loading the configuration reports it
    return LogConfig()


def _written(paths: Sequence[Path], environ: Mapping[str, str], wanted: str) -> Iterator[object]:
    """Yield the values of a top-level key in these files; nothing of what cannot be read."""
    if not _may_have(paths, wanted.encode()):
        return
    # A process that only serves does without the YAML parser.
    from gateway_core.config.merge_documents import Gatherer  # noqa: PLC0415
    from gateway_core.config.substitution import Substitution  # noqa: PLC0415
    from gateway_core.config.yaml_constructor import Constructor  # noqa: PLC0415

    gatherer = Gatherer(Substitution(environ))
    gatherer.add_paths(paths)
    constructor = Constructor(gatherer.substitution, gatherer.report, gatherer.document_of)
    for root in gatherer.roots:
        for key, node in root.value:
            if key.value == wanted:
                yield constructor.construct(node)


def _may_have(paths: Sequence[Path], key: bytes) -> bool:
    try:
        files, _ = document_files(paths)
    except OSError:
        return False
    texts = [read_bytes(file, limit=LARGEST_FILE) for file in files]
    return any(not isinstance(text, ReadFailure) and (key in text or b"include" in text) for text in texts)


def with_configured(urls: Sequence[SourceUrl], configured: Sequence[SourceUrl]) -> tuple[SourceUrl, ...]:
    """Return the sources of the command line, then the configured ones; a source that is both has its rights."""
    rights = {url.identity: url.rights for url in configured}
    named = {url.identity for url in urls}
    given = [replace(url, rights=rights.get(url.identity, url.rights)) for url in urls]
    return (*given, *(url for url in configured if url.identity not in named))


def _url(entry: object) -> SourceUrl | None:
    try:
        config = SourceConfig.model_validate(entry)
    except ValidationError:
        return None
    return replace(SourceUrl.parse(config.url.reveal()), rights=frozenset(config.allow))
