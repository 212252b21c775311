"""Sources by the scheme of their URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway_core.config.source_url import SourceUrl
from gateway_core.config.sources.interface import ConfigSource, SourceContext, SourceFactory


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
