"""How much work `re` may have with a pattern, whatever the text.

`re` tries one path through the pattern after the other. A text that matches in the end nowhere makes it try all of
them, so the number of paths over a text bounds its work. It is counted on the positions of the pattern (Glushkov's
automaton) whose edges carry how many ways lead along them: ``(a+)+`` has two from ``a`` to ``a``, so every ``a`` of the
text doubles its paths. Two bounds are made, each sound, and the better one counts:

* by position: the ways into it are the sum of those into the positions before. Exact where the pattern has at most one
  loop; of ``/[^/]+/[^/]+`` it does not see that a ``/`` never is in the middle of a segment.
* by set of positions: only positions that one text can reach together (the states of the subset automaton) count
  together. Exact enough to call ``(?:/[^/]+)+`` linear, but a pattern may have too many sets.

What `re` does not do counts all the same, so the bound is never too low: anchors are taken to hold, atomic groups to
give back, back-references to match anything.
"""

from __future__ import annotations

from collections import defaultdict, deque
from enum import Enum
from typing import Final, NamedTuple

from gateway_core.regex.charsets import EVERYTHING, SYMBOLS, mask_of
from gateway_core.regex.nodes import (
    Alternatives,
    Anchor,
    Atomic,
    Backreference,
    Chars,
    Concat,
    Conditional,
    Group,
    Look,
    Node,
    Repeat,
)

_MOST_POSITIONS: Final = 4_000
_MOST_EDGES: Final = 40_000
_COPIED: Final = 64
"""A counted repetition of up to so many positions is written out; a longer one is taken for a loop."""
_GIANT: Final = 10**9
"""More ways than any budget has; exact numbers beyond it do not matter."""

_LONGEST_PERIOD: Final = 16

Ways = dict[int, int]
"""Positions, with the number of ways that lead there."""


class Mode(Enum):
    """What a pattern is asked: whether it matches all of a text, where it is found first, or everywhere it is found."""

    FULL = "full"
    SEARCH = "search"
    EVERYWHERE = "everywhere"


class TooLargeError(Exception):
    """The pattern is too large to be judged."""


class _Part(NamedTuple):
    """Where a part of a pattern begins and ends, and in how many ways it matches nothing."""

    first: Ways
    last: Ways
    empty: int


_NOTHING: Final = _Part({}, {}, 1)


class Automaton:
    """The positions of a pattern. Position 0 stands before the text, and in a search also in any place behind."""

    def __init__(self, node: Node, mode: Mode) -> None:
        self.masks: list[int] = [EVERYTHING]
        self.edges: list[Ways] = [{}]
        self._edge_count = 0
        part = self._build(node)
        self._connect({0: 1}, part.first)
        self._restarts = mode is not Mode.FULL and not _starts_at_start(node)
        # A search ends with the first match: where one ends, none begins any more.
        self._ends = frozenset(part.last if mode is Mode.SEARCH and _is_plain(node) else ())
        # Trying an edge costs a step whether or not its character is there.
        self._costs = [1 + sum(edges.values()) for edges in self.edges]

    @property
    def is_deterministic(self) -> bool:
        """Whether no text has two ways through the pattern, as is so for most patterns that people write."""
        return not self._restarts and all(self._tells_apart(edges) for edges in self.edges)

    def _tells_apart(self, edges: Ways) -> bool:
        seen = 0
        for end, ways in edges.items():
            if ways > 1 or self.masks[end] & seen:
                return False
            seen |= self.masks[end]
        return True

    @property
    def most_expensive(self) -> int:
        """The most that one step costs from any position."""
        return max(self._costs)

    def cost(self, ways: Ways) -> int:
        """Return the steps that `re` takes from these positions to the next ones."""
        costs = self._costs
        return sum([count * costs[position] for position, count in ways.items()])

    def follow(self, ways: Ways, symbol: int | None) -> Ways:
        """Return the ways into the next positions, of those only that take a symbol, if one is given."""
        following: Ways = {}
        for position, count in ways.items():
            for end, more in self.edges[position].items():
                if symbol is None or self.masks[end] >> symbol & 1:
                    following[end] = min(following.get(end, 0) + count * more, _GIANT)
        if self._restarts and 0 in ways and (symbol is None or self._ends.isdisjoint(following)):
            following[0] = 1
        return following

    def symbols(self) -> list[int]:
        """Return one symbol of each kind that the pattern distinguishes."""
        masks = sorted(set(self.masks))
        kinds = {tuple([mask >> symbol & 1 for mask in masks]): symbol for symbol in range(SYMBOLS)}
        return list(kinds.values())

    def _build(self, node: Node) -> _Part:
        match node:
            case Chars():
                return self._position(mask_of(node))
            case Concat(items):
                return self._concat([self._build(item) for item in items])
            case Alternatives(items) | Conditional(items):
                return self._union([self._build(item) for item in items])
            case Repeat(item, least, most):
                return self._repeat(item, least, most)
            case Group(item) | Atomic(item):
                return self._build(item)
            case Look(item, behind):
                return self._look(item, behind=behind)
            case Backreference():
                return self._loop(self._position(EVERYTHING), 1)
            case Anchor():
                return _NOTHING

    def _position(self, mask: int) -> _Part:
        number = len(self.masks)
        if number > _MOST_POSITIONS:
            raise TooLargeError
        self.masks.append(mask)
        self.edges.append({})
        return _Part({number: 1}, {number: 1}, 0)

    def _connect(self, last: Ways, first: Ways, times: int = 1) -> None:
        self._edge_count += len(last) * len(first)
        if self._edge_count > _MOST_EDGES:
            raise TooLargeError
        for start, ways in last.items():
            edges = self.edges[start]
            for end, more in first.items():
                edges[end] = min(edges.get(end, 0) + ways * more * times, _GIANT)

    def _concat(self, parts: list[_Part]) -> _Part:
        whole = _NOTHING
        for part in parts:
            self._connect(whole.last, part.first)
            whole = _Part(
                _sum(whole.first, part.first, whole.empty),
                _sum(part.last, whole.last, part.empty),
                min(whole.empty * part.empty, _GIANT),
            )
        return whole

    def _union(self, parts: list[_Part]) -> _Part:
        first: defaultdict[int, int] = defaultdict(int)
        last: defaultdict[int, int] = defaultdict(int)
        for part in parts:
            for found, of_part in ((first, part.first), (last, part.last)):
                for position, ways in of_part.items():
                    found[position] += ways
        return _Part(dict(first), dict(last), min(sum(part.empty for part in parts), _GIANT))

    def _loop(self, part: _Part, between: int) -> _Part:
        """Let a part follow itself; ``between`` is how many ways of matching nothing may lie in between."""
        self._connect(part.last, part.first, between)
        return _Part(_times(part.first, between), part.last, min(1 + part.empty, _GIANT))

    def _repeat(self, item: Node, least: int, most: int | None) -> _Part:
        before = len(self.masks)
        part = self._build(item)
        size = len(self.masks) - before
        copies = least if most is None else most
        if copies <= 1 or size * copies <= _COPIED:
            return self._copies(item, part, least, most)
        # Of a loop's path one knows the round, unless rounds may be empty.
        between = 1 if not part.empty else min((1 + part.empty) ** min(copies, 64), _GIANT)
        looped = self._loop(part, between)
        return looped if least == 0 or part.empty else looped._replace(empty=0)

    def _copies(self, item: Node, part: _Part, least: int, most: int | None) -> _Part:
        if most == 0:
            return _NOTHING
        copies = [part] + [self._build(item) for _ in range(1, least if most is None else most)]
        if most is None:
            loop = copies[0] if least == 0 else self._build(item)
            copies = copies if least else []
            return self._concat([*copies, self._loop(loop, 1 + loop.empty)])
        optional = _NOTHING
        for copy in reversed(copies[least:]):
            whole = self._concat([copy, optional])
            optional = whole._replace(empty=min(whole.empty + 1, _GIANT))
        return self._concat([*copies[:least], optional])

    def _look(self, item: Node, *, behind: bool) -> _Part:
        """Return a way that ends inside, and one past it."""
        if not behind:
            return _Part(self._build(item).first, {}, 1)
        # What is behind is not what comes: all of its work, over whatever text, is done where it stands.
        automaton = Automaton(item, Mode.FULL)
        ways: Ways = {0: 1}
        work = 0
        while ways and work < _GIANT:
            work += automaton.cost(ways)
            ways = automaton.follow(ways, None)
        return _Part(_times(self._position(0).first, min(work, _GIANT)), {}, 1)


def _starts_at_start(node: Node) -> bool:
    """Return whether a pattern can only match where the text begins."""
    match node:
        case Anchor(kind):
            return kind == "start"
        case Concat(items):
            return bool(items) and _starts_at_start(items[0])
        case Alternatives(items):
            return all(_starts_at_start(item) for item in items)
        case Group(item) | Atomic(item):
            return _starts_at_start(item)
        case _:
            return False


def _is_plain(node: Node) -> bool:
    """Return whether nothing but characters decides."""
    match node:
        case Chars():
            return True
        case Concat(items) | Alternatives(items):
            return all(map(_is_plain, items))
        case Group(item):
            return _is_plain(item)
        case Repeat(item, possessive=possessive):
            return not possessive and _is_plain(item)
        case _:
            return False


def _times(ways: Ways, times: int) -> Ways:
    return ways if times == 1 else {position: min(each * times, _GIANT) for position, each in ways.items()}


def _sum(ways: Ways, others: Ways, times: int) -> Ways:
    if not times:
        return ways
    found = dict(ways)
    for position, more in others.items():
        found[position] = min(found.get(position, 0) + more * times, _GIANT)
    return found


def longest_text(node: Node, mode: Mode, budget: int, effort: int, most: int) -> int:
    """Return the length up to which no text makes `re` take more than ``budget`` steps, at most ``most``.

    :param effort: how many edges may be followed to find out; what is not found out by then counts as too long.
    """
    try:
        automaton = Automaton(node, mode)
    except TooLargeError:
        return 0
    if automaton.is_deterministic and budget // automaton.most_expensive > most:
        return most
    by_set = _by_set(automaton, budget, effort, most)
    return by_set if by_set >= most else max(by_set, _by_position(automaton, budget, effort, most))


def _by_position(automaton: Automaton, budget: int, effort: int, most: int) -> int:
    # The step of a length is what `re` tries where a text of that length ends.
    ways: Ways = {0: 1}
    recent: deque[tuple[Ways, int]] = deque(maxlen=_LONGEST_PERIOD)
    work = 0
    for length in range(most):
        step = automaton.cost(ways)
        recent.append((ways, step))
        work += step
        effort -= automaton.cost(dict.fromkeys(ways, 1))
        if work > budget or effort < 0:
            return max(length - 1, 0)
        ways = automaton.follow(ways, None)
        same = next((index for index, (before, _) in enumerate(recent) if before == ways), None)
        if same is not None:
            step = max([step for _, step in recent][same:])
            return min(most, length + (budget - work) // max(step, 1))
    return most


def _by_set(automaton: Automaton, budget: int, effort: int, most: int) -> int:
    """Count with the most ways into each position that any text up to a length has, for each set of positions."""
    symbols = automaton.symbols()
    known: dict[frozenset[int], Ways] = {frozenset({0}): {0: 1}}
    changed = set(known)
    work = step = 0
    for length in range(most):
        step = max(step, *[automaton.cost(known[key]) for key in changed], 0)
        work += step
        if work > budget:
            return max(length - 1, 0)
        if not changed:
            return min(most, length + (budget - work) // max(step, 1))
        grown: dict[frozenset[int], Ways] = {}
        for key in changed:
            effort -= len(symbols) * automaton.cost(dict.fromkeys(key, 1))
            if effort < 0:
                return max(length - 1, 0)
            for symbol in symbols:
                following = automaton.follow(known[key], symbol)
                _raise(grown.setdefault(frozenset(following), {}), following)
        changed = {key for key, ways in grown.items() if ways and _raise(known.setdefault(key, {}), ways)}
    return most


def _raise(known: Ways, ways: Ways) -> bool:
    """Keep the greater number for each position; return whether anything grew."""
    has_grown = False
    for position, count in ways.items():
        if count > known.get(position, 0):
            known[position] = count
            has_grown = True
    return has_grown
