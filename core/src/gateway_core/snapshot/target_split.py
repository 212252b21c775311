"""Which of a route's targets gets a request.

Without a key the targets take turns by a counter, which is exact. A cookie or a key (``sticky_cookie``, ``hash_on``)
keeps a client on its target. Backups get requests only while no other target has a healthy endpoint; as long as they
do, the clients of the others are theirs, and return with the next request after one of the others is healthy again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Generic, Protocol, TypeVar

from gateway_core.config import StickyCookieConfig
from gateway_core.messages import Request
from gateway_core.routing import WeightedTargets, rendezvous
from gateway_core.upstreams.affinity import StickyCookie, compile_hash_key
from gateway_core.upstreams.upstream import Upstream


class Target(Protocol):
    """One target of a route."""

    @property
    def id(self) -> str:
        """What cookies and keys know it by: the same in all workers and after a reload."""
        ...

    @property
    def upstream(self) -> Upstream: ...

    @property
    def weight(self) -> int: ...

    @property
    def is_backup(self) -> bool: ...


TargetT = TypeVar("TargetT", bound=Target)


class _Group(Generic[TargetT]):
    """The backups, or the others: those with a weight above 0."""

    __slots__ = ("by_counter", "by_token", "targets", "weights")

    def __init__(self, targets: Sequence[TargetT], sticky: StickyCookie | None) -> None:
        self.targets = targets
        self.by_token = {} if sticky is None else {sticky.token(target): target for target in targets}
        self.weights = [(target.id, target.weight) for target in targets]
        self.by_counter = WeightedTargets([(target, target.weight) for target in targets])


class TargetSplit(Generic[TargetT]):
    """Splits the requests of one route."""

    __slots__ = ("_backups", "_counter", "_hash_key", "_others", "sticky")

    def __init__(
        self,
        targets: Sequence[TargetT],
        *,
        hash_on: Sequence[str] = (),
        sticky_cookie: StickyCookieConfig | None = None,
        secret: bytes = b"",
    ) -> None:
        """Split among these.

        :param secret: what cookies are keyed with: the same in all workers and gateways of a cluster.
        :raises ValueError: no target has a weight above 0, or a ``hash_on`` is none.
        """
        weighted = [target for target in targets if target.weight > 0]
        others = [target for target in weighted if not target.is_backup]
        backups = [target for target in weighted if target.is_backup]
        self.sticky = None if sticky_cookie is None else StickyCookie(sticky_cookie, secret)
        """The cookie that names a client's target, if there is one."""
        # Only backups: they are all there is.
        self._others = _Group(others or backups, self.sticky)
        self._backups = _Group(backups, self.sticky) if others and backups else None
        self._hash_key = compile_hash_key(hash_on)
        self._counter = count()

    def pick(self, request: Request, now: float) -> TargetT:
        """Choose the target of a request.

        :param now: monotonic seconds.
        """
        group = self._group(now)
        if self.sticky is not None:
            named = group.by_token.get(self.sticky.cookie_of(request) or "")
            if named is not None and named.upstream.is_available(now):
                return named
        elif self._hash_key is not None:
            key = self._hash_key(request)
            if key is not None:
                return group.targets[rendezvous(key, group.weights)]
        return group.by_counter.pick(next(self._counter))

    def set_cookie(self, target: TargetT, request: Request) -> str | None:
        """Return the Set-Cookie value that binds the client to the target that responded to it.

        :returns: None if there is no cookie, or the client has this one.
        """
        return None if self.sticky is None else self.sticky.set_cookie(target, self.sticky.cookie_of(request))

    def _group(self, now: float) -> _Group[TargetT]:
        backups = self._backups
        if backups is None or any(target.upstream.is_available(now) for target in self._others.targets):
            return self._others
        is_any_well = any(target.upstream.is_available(now) for target in backups.targets)
        return backups if is_any_well else self._others
