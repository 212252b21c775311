"""What ``gateway check`` looks at: the documents, what they name, and what follows for its exit status."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway_core.cli.reporting import fetch_sources, sources_of
from gateway_core.config import (
    AdminConfig,
    ConfigError,
    ConfigProblem,
    Document,
    LoadedConfig,
    Place,
    parse_listen,
    sort_problems,
)
from gateway_core.config.problems import missing_files_as_warnings
from gateway_core.config.source import ConfigRoot, SourceUrl, paths_of
from gateway_core.packages import PluginRegistry
from gateway_core.packages.installed import broken_distributions
from gateway_core.snapshot import load


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found; ``loaded`` is None where it is invalid, or parts of it are unknown."""

    loaded: LoadedConfig | None
    problems: tuple[ConfigProblem, ...]

    @property
    def is_fine(self) -> bool:
        """Whether there is no error."""
        return not any(problem.is_error for problem in self.problems)

    def strict(self) -> Examination:
        """Return the same with every warning as an error."""
        return Examination(self.loaded, tuple(replace(problem, severity="error") for problem in self.problems))


def examine(
    roots: tuple[ConfigRoot, ...],
    registry: PluginRegistry,
    *,
    offline: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Examination:
    """Load a configuration and the certificates that it names. Blocks.

    :param offline: ask no source, and warn of missing files: they are expected to be elsewhere.
    """
    paths = paths_of(roots)
    urls = sources_of(roots, environ)
    skipped = [_not_asked(url) for url in urls] if offline else []
    documents: Sequence[Document] = ()
    try:
        try:
            documents = fetch_sources(urls, offline=offline)
        except ConfigError as error:
            if paths and any(problem.code == "source.invalid" for problem in error.problems):
                # One that a file names is shown where it is named.
                load(paths, registry=registry, environ=environ, offline=offline, is_partial=True)
            softened = list(missing_files_as_warnings(error.problems))
            if not offline or any(problem.is_error for problem in softened):
                raise
            skipped += softened
        if not paths and not documents and skipped:
            return Examination(None, tuple(skipped))
        loaded = load(
            paths, registry=registry, environ=environ, documents=documents, offline=offline, is_partial=bool(skipped)
        )
    except ConfigError as error:
        found = [*error.problems, *error.warnings, *skipped, *broken_distributions()]
        return Examination(None, sort_problems(found))
    found = [*loaded.warnings, *skipped, *_on_this_machine(loaded, environ, offline=offline), *broken_distributions()]
    return Examination(loaded, sort_problems(found))


def _on_this_machine(loaded: LoadedConfig, environ: Mapping[str, str], *, offline: bool) -> Iterable[ConfigProblem]:
    config = loaded.config
    is_needed = (
        any(each.tls is not None or each.parsed.path or each.parsed.host not in _USUAL_HOSTS for each in config.listen)
        or any(each.tls.model_fields_set for each in config.upstreams)
        or config.tracing is not None
        or (config.admin is not None and _is_admin_unusual(config.admin))
    )
    if not is_needed:
        return ()
    from gateway_core.process.machine import (  # noqa: PLC0415 - takes long to import
        certificate_problems,
        place_problems,
        socket_problems,
        tracing_problems,
    )

    certificates = certificate_problems(loaded)
    if offline:
        return missing_files_as_warnings(certificates)
    sockets = (*socket_problems(loaded), *place_problems(loaded))
    return (*certificates, *sockets, *tracing_problems(loaded, environ))


_USUAL_HOSTS: Final = frozenset({"", "127.0.0.1", "localhost"})
"""What every machine can listen on."""


def _is_admin_unusual(admin: AdminConfig) -> bool:
    return admin.tls is not None or any(_is_unusual(text) for _, text in admin.addresses())


def _is_unusual(address: str) -> bool:
    return address.startswith("unix:") or parse_listen(address).host not in _USUAL_HOSTS


def _not_asked(url: SourceUrl) -> ConfigProblem:
    message = "was not asked: names that its documents may define are not checked"
    return ConfigProblem(Place(str(url)), "", message, code="source.not-asked", severity="warning")
