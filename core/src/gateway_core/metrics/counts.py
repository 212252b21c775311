"""What the request path counts in: plain integers, without a look-up by labels, and without a lock for each request.

Each route, endpoint and hook holds the object that it counts in. `Counts` keeps these objects by key, so that a route
of the next snapshot, or an endpoint that comes back, goes on where the one before it was: a counter never goes back.
Those that are in use are never dropped; of the others the last `KEPT` are kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from threading import Lock
from typing import Final, Generic, TypeVar

from gateway_core.metrics.catalogue import DURATION_BOUNDS, ORIGINS, OTHER
from gateway_core.metrics.samples import Distribution, Exemplar

KEPT: Final = 256
"""Counts of what is gone that are kept in case it comes back."""

MOST_STATUSES: Final = 32
"""Statuses that are counted apart on one route or endpoint: an upstream may send nine hundred."""

UPSTREAM, GATEWAY, PLUGIN, CLIENT = range(4)
"""Origins, as `RouteCounts.add` takes them; see `ORIGINS`."""

_NO_STATUS: Final = 0


_EXEMPLAR_LASTS: Final = 1.0
"""Seconds for which an example of a bucket is as good as a later one: to note each would cost a microsecond."""
_MOST_WAITING: Final = 128
"""Durations that are kept until they are sorted into buckets together: that takes a third of the time of one by one."""

_FEW: Final = 8
"""Durations up to which one by one is faster."""

_settling: Final = Lock()
"""Held while durations are sorted into buckets: a thread that collects samples does so as well as the event loop."""


class _Cells:
    """Numbers and durations by what came of requests: the status times four, plus the origin."""

    __slots__ = ("_before", "_cells", "_settled", "_waiting", "bounds")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS) -> None:
        self.bounds = bounds
        """Upper bounds of the buckets, in seconds."""
        # By outcome: a number for each bucket, one for all that took longer, and the sum of the seconds.
        self._cells: dict[int, list[float]] = {}
        self._waiting: dict[int, list[float]] = {}  # by outcome, durations that are not in the cells yet
        self._before: dict[int, float] = {}  # requests that were counted with other bounds
        self._settled = 0  # durations that were ever sorted into cells

    @property
    def total(self) -> int:
        """How many were ever added: it differs when something was added since, and costs little to know."""
        return self._settled + sum(map(len, list(self._waiting.values())))

    def cells(self) -> dict[int, tuple[float, ...]]:
        """Return, by what came of requests, the numbers in the buckets and the sum of the seconds."""
        self._settle()
        return {outcome: tuple(cell) for outcome, cell in list(self._cells.items())}

    def _new_waiting(self, outcome: int) -> list[float]:
        """Return where the durations of an outcome that is new wait."""
        if len(self._waiting) >= MOST_STATUSES:
            outcome = _NO_STATUS + outcome % 4
        return self._waiting.setdefault(outcome, [])

    def _settle(self) -> None:
        """Sort the durations that wait into the cells."""
        with _settling:
            for outcome, waiting in list(self._waiting.items()):
                if settled := waiting[:]:
                    # Those that are added meanwhile stay: only what was copied is taken.
                    del waiting[: len(settled)]
                    self._sort_in(outcome, settled)

    def _sort_in(self, outcome: int, waiting: list[float]) -> None:
        cell = self._cells.get(outcome)
        if cell is None:
            cell = self._cells[outcome] = [0] * (len(self.bounds) + 1) + [0.0]
        self._settled += len(waiting)
        cell[-1] += sum(waiting)
        if len(waiting) <= _FEW:
            for seconds in waiting:
                cell[bisect_left(self.bounds, seconds)] += 1
            return
        waiting.sort()
        before = 0
        for index, bound in enumerate(self.bounds):
            if (upto := bisect_right(waiting, bound, before)) > before:
                cell[index] += upto - before
                if (before := upto) == len(waiting):
                    break
        cell[-2] += len(waiting) - before

    def use_bounds(self, bounds: tuple[float, ...]) -> None:
        """Begin new histograms if these are other bounds; the numbers of requests go on."""
        if bounds != self.bounds:
            self._before = dict(self.outcomes())  # which has settled those that wait
            self._cells, self.bounds = {}, bounds

    def outcomes(self) -> Iterator[tuple[int, int]]:
        """Yield what came of requests, and their number."""
        self._settle()
        totals = dict(self._before)
        for outcome, cell in list(self._cells.items()):
            totals[outcome] = totals.get(outcome, 0) + sum(cell[:-1])
        for outcome, number in totals.items():
            yield outcome, int(number)

    def distributions(self) -> Iterator[tuple[int, Distribution]]:
        """Yield what came of requests, and how long they took."""
        self._settle()
        for outcome, cell in list(self._cells.items()):
            numbers = cell.copy()
            yield outcome, Distribution([int(number) for number in numbers[:-1]], numbers[-1])


class RouteCounts(_Cells):
    """The counts of one route."""

    __slots__ = ("_exemplars", "_latest", "bytes_in", "bytes_out", "calls")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS) -> None:
        super().__init__(bounds)
        self._exemplars: dict[int, dict[int, tuple[bytes, float, float]]] = {}  # by hundred of the status, by bucket
        # Status and bounds of the bucket of the latest one, and until when another like it changes nothing.
        self._latest = (0, 0.0, 0.0, 0.0)
        self.bytes_in = 0
        """Bytes of requests' bodies."""
        self.bytes_out = 0
        """Bytes of responses' bodies."""
        self.calls: dict[int, int] = {}
        """Calls of gRPC, by their ``grpc-status``."""

    def add_call(self, code: int) -> None:
        """Count how a call of gRPC ended."""
        self.calls[code] = self.calls.get(code, 0) + 1

    def add(self, outcome: int, seconds: float, sent: int, received: int = 0) -> None:
        """Count a request that is over.

        :param outcome: the status times four, plus the origin.
        :param sent: bytes of the response's body.
        :param received: bytes of the request's body.
        """
        # A look-up that fails is rare, and one that does not costs half of `get`.
        try:
            waiting = self._waiting[outcome]
        except KeyError:
            waiting = self._new_waiting(outcome)
        waiting.append(seconds)
        self.bytes_out += sent
        if received:
            self.bytes_in += received
        if len(waiting) == _MOST_WAITING:
            self._settle()

    def has_exemplar(self, status: int, seconds: float, now: float) -> bool:
        """Return whether a request like the latest example needs not be noted: there is one of this very second.

        :param now: monotonic seconds.
        """
        known, low, high, until = self._latest
        return status == known and low < seconds <= high and now < until

    def note_exemplar(self, status: int, seconds: float, trace_id: bytes, at: float, now: float = 0.0) -> None:
        """Keep the trace of a request as an example of those that take about as long; the latest of each bucket stays.

        :param at: seconds since the Unix epoch.
        :param now: monotonic seconds.
        """
        hundreds = status // 100
        found = self._exemplars.get(hundreds)
        if found is None:
            found = self._exemplars[hundreds] = {}
        bounds, bucket = self.bounds, bisect_left(self.bounds, seconds)
        found[bucket] = trace_id, seconds, at
        if bucket < len(bounds):
            self._latest = status, bounds[bucket - 1] if bucket else -1.0, bounds[bucket], now + _EXEMPLAR_LASTS

    def use_bounds(self, bounds: tuple[float, ...]) -> None:
        if bounds != self.bounds:
            self._exemplars, self._latest = {}, (0, 0.0, 0.0, 0.0)
        super().use_bounds(bounds)

    def requests(self) -> Iterator[tuple[str, str, int]]:
        """Yield status, origin and the number of requests."""
        for outcome, number in self.outcomes():
            yield _status_of(outcome), ORIGINS[outcome & 3], number

    def durations(self) -> dict[str, Distribution]:
        """Return how long requests took, by status class such as ``2xx``."""
        found: dict[str, Distribution] = {}
        for outcome, each in self.distributions():
            name = class_of(outcome >> 2)
            found[name] = found[name].plus(each) if name in found else each
        for hundreds, exemplars in list(self._exemplars.items()):
            if (name := class_of(hundreds * 100)) in found:
                found[name].exemplars = {
                    **(found[name].exemplars or {}),
                    **{n: Exemplar(of.decode(), seconds, at) for n, (of, seconds, at) in list(exemplars.items())},
                }
        return found


def _status_of(outcome: int) -> str:
    return str(outcome >> 2) if outcome >> 2 else OTHER


def class_of(status: int) -> str:
    """Return the class of a status, such as ``2xx``; ``OTHER`` for what is none."""
    return f"{status // 100}xx" if 100 <= status <= 599 else OTHER


class EndpointCounts(_Cells):
    """The counts of one endpoint of an upstream."""

    __slots__ = ("bytes_in", "bytes_out", "connects", "ejections", "errors", "openings")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS) -> None:
        super().__init__(bounds)
        self.errors: dict[str, int] = {}
        """Attempts that failed, by their reason."""
        self.connects = 0
        """Connections that were made."""
        self.ejections = 0
        self.openings = 0
        """Times that its circuit breaker opened."""
        self.bytes_in = self.bytes_out = 0
        """Bytes on connections, heads included."""

    def respond(self, status: int, seconds: float) -> None:
        """Count a response's head.

        :param seconds: since the endpoint was picked.
        """
        outcome = status << 2
        try:
            waiting = self._waiting[outcome]
        except KeyError:
            waiting = self._new_waiting(outcome)
        waiting.append(seconds)
        if len(waiting) == _MOST_WAITING:
            self._settle()

    def fail(self, reason: str) -> None:
        """Count an attempt that failed, by a code of `gateway_core.reasons`."""
        self.errors[reason] = self.errors.get(reason, 0) + 1

    def statuses(self) -> Iterator[tuple[str, int]]:
        """Yield each status and the number of responses."""
        for outcome, number in self.outcomes():
            yield _status_of(outcome), number

    def duration(self) -> Distribution | None:
        """Return how long the responses' heads took; None if there were none."""
        found: Distribution | None = None
        for _, each in self.distributions():
            found = each if found is None else found.plus(each)
        return found


KeyT = TypeVar("KeyT")
CellsT = TypeVar("CellsT", bound=_Cells)


def used(known: Iterable[tuple[KeyT, CellsT]]) -> list[tuple[KeyT, CellsT]]:
    """Return those that ever counted something: of most routes of a large gateway there is nothing more to look at."""
    return [each for each in known if each[1]._waiting]  # noqa: SLF001 - a call for each costs three times as much


class UpstreamCounts:
    """The counts of a whole upstream."""

    __slots__ = ("refusals", "retries")

    def __init__(self) -> None:
        self.retries = 0
        self.refusals: dict[str, int] = {}
        """Requests that no endpoint was picked for, by reason."""

    def refuse(self, reason: str) -> None:
        """Count a request that no endpoint was picked for, by a code of `gateway_core.reasons`."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


class HookCounts:
    """The counts of the hooks of one binding in one phase."""

    __slots__ = ("__weakref__", "calls")

    def __init__(self) -> None:
        self.calls = 0


CountsT = TypeVar("CountsT")


class Counts(Generic[CountsT]):
    """Objects to count in, by key."""

    __slots__ = ("_kept", "_make", "_used")

    def __init__(self, make: Callable[[], CountsT]) -> None:
        self._make = make
        self._used: dict[Hashable, tuple[CountsT, int]] = {}  # with the number of uses
        self._kept: dict[Hashable, CountsT] = {}  # in the order in which they were given up

    def __len__(self) -> int:
        return len(self._used)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._used

    def get(self, key: Hashable) -> CountsT | None:
        """Return the counts of a key that is in use; None if it is not."""
        found = self._used.get(key)
        return None if found is None else found[0]

    def acquire(self, key: Hashable) -> CountsT:
        """Return the counts of a key, which is in use until it is released as often as it was acquired."""
        counts, uses = self._used.get(key) or (self._kept.pop(key, None) or self._make(), 0)
        self._used[key] = counts, uses + 1
        return counts

    def release(self, key: Hashable) -> None:
        """End one use of a key; its counts are kept for a while."""
        counts, uses = self._used.pop(key)
        if uses > 1:
            self._used[key] = counts, uses - 1
            return
        self._kept[key] = counts
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    def in_use(self) -> list[Hashable]:
        """Return the keys that are in use; safe in any thread."""
        return list(self._used)

    def items(self) -> list[tuple[Hashable, CountsT]]:
        """Return the counts by key, those that are kept included; safe in any thread."""
        return [*((key, counts) for key, (counts, _) in list(self._used.items())), *list(self._kept.items())]
