"""A configuration that passed every check, and its canonical form for other processes."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from gateway_core.config.location import Place
from gateway_core.config.models.gateway import GatewayConfig
from gateway_core.config.models.route import RouteConfig
from gateway_core.config.models.upstream import UpstreamConfig
from gateway_core.config.problems import ConfigProblem, problem_from_json, problem_to_json
from gateway_core.config.values import CANONICAL

CANONICAL_FORMAT: Final = 1
_SLICE: Final = 50


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration with where everything in it is written."""

    config: GatewayConfig
    places: Mapping[str, Place]
    """Places by key path of listeners, bindings, upstreams, endpoints and routes: ``routes[3].plugins[0]``."""
    files: tuple[Path, ...] = ()
    """Every file that was read, ``${file:...}`` included: a change in one of them may change the configuration."""
    version: str = ""
    """SHA-256 of the canonical configuration, in hexadecimal; places and files do not matter to it."""
    directories: tuple[Path, ...] = field(default=())
    """Directories in which a new file may become part of the configuration."""
    warnings: tuple[ConfigProblem, ...] = ()
    """What is valid and unlikely to be meant, sorted by place."""
    _by_name: dict[str, Mapping[str, Place]] = field(default_factory=dict, repr=False, compare=False)

    def place_of(self, key_path: str) -> Place:
        """Return the place of a key path, or of the innermost thing around it that has one."""
        while key_path:
            if (place := self.places.get(key_path)) is not None:
                return place
            cut = max(key_path.rfind("."), key_path.rfind("["))
            key_path = key_path[: max(cut, 0)]
        return Place(str(self.files[0])) if self.files else Place("configuration")

    def places_by_name(self, kind: Literal["routes", "upstreams"]) -> Mapping[str, Place]:
        """Return where each route is written, by its id, or each upstream, by its name."""
        found = self._by_name.get(kind)
        if found is None:
            names = (
                [route.id for route in self.config.routes]
                if kind == "routes"
                else [upstream.name for upstream in self.config.upstreams]
            )
            found = {name: self.place_of(f"{kind}[{index}]") for index, name in enumerate(names)}
            self._by_name[kind] = found
        return found

    def to_canonical(self) -> dict[str, Any]:
        """Return the configuration with all defaults as plain JSON values. It holds the secrets, too."""
        names = list(dict.fromkeys(place.file for place in self.places.values()))
        index = {name: number for number, name in enumerate(names)}
        return {
            "format": CANONICAL_FORMAT,
            "version": self.version,
            "config": self.config.model_dump(mode="json", context=CANONICAL),
            "place_files": names,
            "places": {path: [index[place.file], place.line, place.column] for path, place in self.places.items()},
            "files": [str(path) for path in self.files],
            "directories": [str(path) for path in self.directories],
            "warnings": [problem_to_json(warning) for warning in self.warnings],
        }

    @classmethod
    def from_canonical(cls, canonical: Mapping[str, Any]) -> LoadedConfig:
        """Build what :meth:`to_canonical` wrote, in one go.

        :raises ValueError: if it was written by another version of the gateway.
        """
        steps = cls.from_canonical_steps(canonical)
        with collector_paused():
            while True:
                try:
                    next(steps)
                except StopIteration as done:
                    loaded: LoadedConfig = done.value
                    return loaded

    @classmethod
    def from_canonical_steps(cls, canonical: Mapping[str, Any]) -> Generator[None, None, LoadedConfig]:
        """Build what :meth:`to_canonical` wrote in steps of a few milliseconds, for a process that serves.

        The long lists of the document are used up: freeing them at the end would take longer than any step.

        A full garbage collection takes longer than any step: pause the collector (``collector_paused``) around each
        step, and ``gc.freeze()`` once the new configuration is in force.

        :raises ValueError: if it was written by another version of the gateway.
        """
        if canonical.get("format") != CANONICAL_FORMAT:
            raise ValueError(
                f"the canonical configuration has format {canonical.get('format')}, not {CANONICAL_FORMAT}"
            )
        document = dict(canonical["config"])
        routes: list[RouteConfig] = []
        for part in _use_up(document.pop("routes", [])):
            routes += GatewayConfig.model_validate({"routes": part}, context=CANONICAL).routes
            yield
        upstreams: list[UpstreamConfig] = []
        for part in _use_up(document.pop("upstreams", [])):
            upstreams += GatewayConfig.model_validate({"upstreams": part}, context=CANONICAL).upstreams
            yield
        config = GatewayConfig.model_validate(document, context=CANONICAL)
        config = config.model_copy(update={"routes": tuple(routes), "upstreams": tuple(upstreams)})
        yield
        names = canonical["place_files"]
        places: dict[str, Place] = {}
        written = list(canonical["places"].items())
        canonical["places"].clear()
        for items in _use_up(written, 200):
            places.update((path, Place(names[file], line, column)) for path, (file, line, column) in items)
            yield
        return cls(
            config,
            places,
            tuple(Path(name) for name in canonical["files"]),
            canonical["version"],
            tuple(Path(name) for name in canonical["directories"]),
            tuple(problem_from_json(entry) for entry in canonical.get("warnings", ())),
        )


def config_version(config: GatewayConfig) -> str:
    """Return the SHA-256 of a configuration's canonical form, keys sorted."""
    text = json.dumps(
        config.model_dump(mode="json", context=CANONICAL), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _use_up(items: list[Any], size: int = _SLICE) -> Generator[list[Any], None, None]:
    """Yield the items in slices, and keep none of them."""
    items.reverse()
    while items:
        part = items[: -size - 1 : -1]
        del items[-size:]
        yield part


@contextmanager
def collector_paused() -> Iterator[None]:
    """Switch the collector off for a while, for the whole process.

    Nothing that is built here is garbage, but every object counts towards the next full collection: with 10,000 routes
    these were more than half of the time that loading took.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
