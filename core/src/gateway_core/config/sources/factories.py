"""Which sources there are: those that the core and extensions have by URL scheme, and those that local files name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from gateway_core.config.catalog import factory_model, option_findings
from gateway_core.config.config_file import FILE_KEY
from gateway_core.config.documents import LARGEST_FILE, ReadFailure, Right, document_files, read_bytes
from gateway_core.config.models.admin import AdminConfig
from gateway_core.config.models.gateway import HttpSourceConfig, LogConfig, SourceConfig
from gateway_core.config.redaction import marked_paths
from gateway_core.config.source import ConfigSource, SourceContext, SourceFactory, SourceUrl


class UnknownSourceError(ValueError):
    """A scheme that neither the core nor an extension has."""


class _Http:
    config_model: type[HttpSourceConfig] = HttpSourceConfig

    def __call__(self, url: SourceUrl, context: SourceContext) -> ConfigSource:
        from gateway_core.config.sources.http_source import HttpSource  # noqa: PLC0415  # aiohttp takes long to import

        return HttpSource(url, context)


BUILT_IN: Final[Mapping[str, SourceFactory]] = {"http": _Http(), "https": _Http()}


def make_source(url: SourceUrl, context: SourceContext, extensions: Mapping[str, SourceFactory]) -> ConfigSource:
    """Make the source of a URL; extensions cannot replace the core's.

    :param extensions: what extensions offer, by scheme.
    :raises UnknownSourceError: nobody has its scheme.
    :raises ValueError: the URL cannot work, or an option is unknown or refused.
    """
    factory = BUILT_IN.get(url.scheme) or extensions.get(url.scheme)
    if factory is None:
        known = ", ".join([*BUILT_IN, *sorted(extensions)])
        raise UnknownSourceError(
            f"{url.scheme!r} is no source of configuration: known are {known}, or install gateway-plugin-{url.scheme}"
        )
    return factory(with_config(factory, url), context)


def with_config(factory: SourceFactory, url: SourceUrl) -> SourceUrl:
    """Return a URL with its options as an instance of the factory's model.

    :raises ValueError: naming each option that is unknown or refused; the text shows no secret.
    """
    options = _with_absolute_files(factory, url)
    findings = option_findings(factory, options)
    if findings:
        raise ValueError("; ".join(each.text for each in findings))
    model = factory_model(factory)
    return replace(url, config={} if model is None else model.model_validate(options))


def source_url(factory: SourceFactory, text: str) -> SourceUrl:
    """Return what a source is given for the text of a URL; for tests of sources.

    :raises ValueError: it is no URL, or an option is unknown or refused.
    """
    return with_config(factory, SourceUrl.parse(text))


def _with_absolute_files(factory: SourceFactory, url: SourceUrl) -> Mapping[str, str]:
    """Return the options; relative names of files begin at the file that names the source."""
    model = factory_model(factory)
    if url.directory is None or model is None or not url.options:
        return url.options
    files = {path[0] for path in marked_paths(model.model_json_schema(), FILE_KEY)}
    return {
        name: str(url.directory / value) if value and name in files else value for name, value in url.options.items()
    }


def configured_urls(paths: Sequence[Path], environ: Mapping[str, str]) -> tuple[SourceUrl, ...]:
    """Return the sources that these files and directories name, in their order. Blocks.

    What cannot be read is left out: loading the configuration reports it.
    """
    found: dict[str, SourceUrl] = {}
    for written in _written(paths, environ, "sources"):
        directory, entries = written
        for entry in entries if isinstance(entries, list) else ():
            url = _url(entry, directory)
            if url is not None:
                found.setdefault(url.identity, url)
    return tuple(found.values())


def configured_log(paths: Sequence[Path], environ: Mapping[str, str]) -> LogConfig:
    """Return how these files and directories have the log written; the default if they do not say. Blocks."""
    for _, written in _written(paths, environ, "log"):
        try:
            return LogConfig.model_validate(written)
        except ValidationError:
            break  # loading the configuration reports it
    return LogConfig()


def configured_rights(paths: Sequence[Path], environ: Mapping[str, str]) -> frozenset[Right]:
    """Return the rights that these files and directories give to the document of the admin API. Blocks.

    What cannot be read gives none: loading the configuration reports it.
    """
    for _, written in _written(paths, environ, "admin"):
        try:
            return frozenset(AdminConfig.model_validate(written).allow)
        except ValidationError:
            break
    return frozenset()


def _written(paths: Sequence[Path], environ: Mapping[str, str], wanted: str) -> Iterator[tuple[Path | None, object]]:
    """Yield the values of a top-level key in these files, each with its file's directory.

    Nothing is yielded of what cannot be read.
    """
    if not _may_have(paths, wanted.encode()):
        return
    # A process that only serves does without the YAML parser.
    from gateway_core.config.merge_documents import Gatherer  # noqa: PLC0415
    from gateway_core.config.substitution import Substitution  # noqa: PLC0415
    from gateway_core.config.yaml_constructor import Constructor, node_place  # noqa: PLC0415

    gatherer = Gatherer(Substitution(environ))
    gatherer.add_paths(paths)
    constructor = Constructor(gatherer.substitution, gatherer.report, gatherer.document_of)
    for root in gatherer.roots:
        for key, node in root.value:
            if key.value == wanted:
                yield gatherer.document_of(node_place(node).file).directory, constructor.construct(node)


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


def _url(entry: object, directory: Path | None) -> SourceUrl | None:
    try:
        config = SourceConfig.model_validate(entry)
    except ValidationError:
        return None
    return replace(SourceUrl.parse(config.url.reveal()), rights=frozenset(config.allow), directory=directory)
