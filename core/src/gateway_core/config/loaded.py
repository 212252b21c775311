"""A configuration that passed every check, and its canonical form, in which other processes get it.

That is lines of JSON. To read one document of some megabytes would hold up requests.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from gateway_core.config.models.gateway import GatewayConfig
from gateway_core.config.models.route import RouteConfig
from gateway_core.config.models.upstream import UpstreamConfig
from gateway_core.config.problems import ConfigProblem, Place, problem_from_json, problem_to_json
from gateway_core.config.values import CANONICAL
from gateway_core.tasks import Yielder

Part = tuple[tuple[RouteConfig, ...], tuple[UpstreamConfig, ...]]
"""The routes and the upstreams of a line."""

_NOTHING: Final[Part] = ((), ())

CANONICAL_FORMAT: Final = 1
_ITEMS: Final = 16
_MOST_ITEMS: Final = 32
_PLACES: Final = 200
"""Routes or upstreams of a line, as a rule and at most, and places."""
_READ_AT_ONCE: Final = 5
"""Routes or upstreams that are read without a pause: one with many settings takes some hundred microseconds."""


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
    parts: Mapping[bytes, Part] = field(default_factory=dict, repr=False, compare=False)
    """What was read of each line of routes and upstreams (`from_lines`), by a digest of the line."""
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

    def to_lines(self) -> Iterator[bytes]:
        """Write the configuration with all defaults as lines of JSON: the head, then the parts in any number.

        It holds the secrets, too. No line is long: each is read in a fraction of a millisecond.
        """
        names = list(dict.fromkeys(place.file for place in self.places.values()))
        index = {name: number for number, name in enumerate(names)}
        config = self.config.model_dump(mode="json", context=CANONICAL)
        routes, upstreams = config.pop("routes"), config.pop("upstreams")
        places = [(path, [index[place.file], place.line, place.column]) for path, place in self.places.items()]
        head = {
            "format": CANONICAL_FORMAT,
            "version": self.version,
            "config": config,
            "place_files": names,
            "places": {},
            "files": [str(path) for path in self.files],
            "directories": [str(path) for path in self.directories],
            "warnings": [problem_to_json(warning) for warning in self.warnings],
        }
        yield _line(head)
        yield from (_line({"upstreams": part}) for part in _cut(upstreams, "name"))
        yield from (_line({"routes": part}) for part in _cut(routes, "id"))
        yield from (_line({"places": dict(part)}) for part in _parts(places, _PLACES))

    @classmethod
    async def from_lines(
        cls, lines: Sequence[bytes], yielder: Yielder, known: Mapping[bytes, Part] = MappingProxyType({})
    ) -> LoadedConfig:
        """Build what `to_lines` wrote, line by line, for a process that serves meanwhile.

        :param known: ``parts`` of the configuration before: equal lines are not read again, and their routes and
            upstreams are the same objects.
        :raises ValueError: it was written by another version of the gateway, or is damaged.
        """
        head = json.loads(lines[0])
        if head.get("format") != CANONICAL_FORMAT:
            raise ValueError(f"the canonical configuration has format {head.get('format')}, not {CANONICAL_FORMAT}")
        names = head["place_files"]
        routes, upstreams, places = list[RouteConfig](), list[UpstreamConfig](), dict[str, Place]()
        parts: dict[bytes, Part] = {}
        for line in lines[1:]:
            digest = hashlib.blake2b(line, digest_size=16).digest()
            read = known.get(digest)
            if read is None:
                part = json.loads(line)
                written = part.pop("places", {}).items()
                places.update((path, Place(names[file], row, column)) for path, (file, row, column) in written)
                await yielder.checkpoint()
                read = await _read(part, yielder)
            else:
                await yielder.checkpoint()
            if read != _NOTHING:
                parts[digest] = read
                routes += read[0]
                upstreams += read[1]
        config = GatewayConfig.model_validate(head["config"], context=CANONICAL)
        return cls(
            config.model_copy(update={"routes": tuple(routes), "upstreams": tuple(upstreams)}),
            places,
            tuple(Path(name) for name in head["files"]),
            head["version"],
            tuple(Path(name) for name in head["directories"]),
            tuple(problem_from_json(entry) for entry in head.get("warnings", ())),
            parts,
        )


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


async def _read(part: Mapping[str, Sequence[Any]], yielder: Yielder) -> Part:
    """Build the routes and upstreams of a line."""
    routes, upstreams = list[RouteConfig](), list[UpstreamConfig]()
    for name, items in part.items():
        for some in _parts(items, _READ_AT_ONCE):
            config = GatewayConfig.model_validate({name: some}, context=CANONICAL)
            routes += config.routes
            upstreams += config.upstreams
            await yielder.checkpoint()
    return tuple(routes), tuple(upstreams)


def _cut(items: Sequence[Any], name: str) -> Iterator[Sequence[Any]]:
    """Yield parts of some items.

    Where a part ends depends on the name of its last item alone, so that the lines behind one that is added or removed
    are as before.
    """
    start = 0
    for end, item in enumerate(items, 1):
        if zlib.crc32(item[name].encode()) % _ITEMS == 0 or end - start == _MOST_ITEMS or end == len(items):
            yield items[start:end]
            start = end


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def config_version(config: GatewayConfig) -> str:
    """Return the SHA-256 of a configuration's canonical form, keys sorted."""
    text = json.dumps(
        config.model_dump(mode="json", context=CANONICAL), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
