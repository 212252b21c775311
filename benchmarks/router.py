"""Cost of the route table: lookups at 100 and 100,000 routes, bytes per route, build time, the longest slice.

Run `python benchmarks/router.py` (under a minute). Budgets on a small cloud machine: 3 us for a static path of three
segments, 5 us with two parameters, 100,000 routes at most 1.5 times 100 routes; 2 KiB a route; built in 3 s, in slices
of at most 5 ms. Times are CPU time, lookups the best of several rounds of newly made strings. The ratios compare tables
of which the same number of distinct paths is asked for.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from gateway_core.routing import DEFAULT_POLICY, Match, Router, RouteRule, build_steps, find_conflicts

SMALL, LARGE = 100, 100_000
ASKED = 33
ROUNDS = 15
_GET = frozenset({"GET"})
SLICE_SECONDS = 0.002


def rules(count: int) -> list[RouteRule[int]]:
    """Two of three are static, the third has two parameters."""
    made: list[RouteRule[int]] = []
    for number in range(count):
        start, kind = f"/service{number // 3}/items", number % 3
        path = start + ("/list", "/search", "/:id/parts/:part")[kind]
        made.append(RouteRule(id=f"route-{number}", payload=number, path=path, order=number))
    return made


def varied(made: list[RouteRule[int]]) -> list[RouteRule[int]]:
    """The same routes, each on one of a hundred hosts or on a wildcard, and in one of two priorities."""
    hosts = [f"host{number}.example.com" for number in range(100)] + ["*.example.com"]
    return [
        replace(rule, hosts=(hosts[rule.order // 3 % 101],), priority=rule.order % 7 // 6, methods=_GET)
        for rule in made
    ]


def no_header(_name: str) -> Sequence[str]:
    return ()


def best_us(router: Router[int], paths: Sequence[str]) -> float:
    """Microseconds per lookup, best of the rounds."""
    best = float("inf")
    match, clock = router.match, time.thread_time
    raws = [path.encode() for path in paths]
    for _ in range(ROUNDS):
        requests = [raw.decode() for raw in raws * 20]  # new strings, as from a socket: no hash is cached
        started = clock()
        for path in requests:
            match("GET", "api.example.com", path, "", no_header)
        best = min(best, (clock() - started) / len(requests))
    return best * 1e6


def lookups(count: int) -> dict[str, Callable[[int], str]]:
    services = count // 3
    return {
        "static, three segments": lambda n: f"/service{n * 7919 % services}/items/list",
        "two parameters": lambda n: f"/service{n * 7919 % services}/items/{n}/parts/x{n}",
        "two parameters, escapes": lambda n: f"/service{n * 7919 % services}/items/{n}%25/parts/x{n}",
        "no route": lambda n: f"/service{n * 7919 % services}/nothing/{n}",
    }


def measure_lookups() -> None:
    small, large = Router.build(rules(SMALL)), Router.build(rules(LARGE))
    print(f"{'lookup':28}{SMALL:>10,} us{LARGE:>12,} us{'ratio':>8}")
    for name, path_of in lookups(SMALL).items():
        large_path_of = lookups(LARGE)[name]
        small_paths = [path_of(n) for n in range(ASKED)]
        large_paths = [large_path_of(n) for n in range(ASKED)]
        assert isinstance(small.match("GET", "", small_paths[1], "", no_header), Match) or name == "no route"
        one, other = best_us(small, small_paths), best_us(large, large_paths)
        print(f"{name:28}{one:>13.2f}{other:>15.2f}{other / one:>8.2f}")
    several = Router.build(varied(rules(LARGE)))
    paths = [f"/service{100 + 101 * n}/items/{n}/parts/x{n}" for n in range(ASKED)]
    assert isinstance(several.match("GET", "api.example.com", paths[1], "", no_header), Match)
    print(f"{'two, hosts, priorities':28}{'':13}{best_us(several, paths):>15.2f}")
    read = DEFAULT_POLICY.read
    for what, path in {"path policy, plain": "/service1/items/list", "path policy, escapes": "/a%20b/c;d//e"}.items():
        best = min(_seconds(lambda: read(path)) for _ in range(ROUNDS))  # noqa: B023 - called at once
        print(f"{what:28}{best * 1e6 / 20_000:>13.2f}")


def _seconds(call: Callable[[], object]) -> float:
    started = time.thread_time()
    for _ in range(20_000):
        call()
    return time.thread_time() - started


def measure_build() -> None:
    table = rules(LARGE)
    gc.collect()
    gc.freeze()
    steps = build_steps(table)
    started = time.thread_time()
    longest, done = _drain(steps)
    print(f"build of {done:,} routes in slices: {time.thread_time() - started:.2f} s, longest {longest * 1e3:.1f} ms")
    gc.disable()
    steps = build_steps(table)
    longest, _ = _drain(steps)
    gc.enable()
    print(f"  longest slice with the garbage collector off: {longest * 1e3:.1f} ms")
    started = time.thread_time()
    found = find_conflicts(table)
    print(f"conflicts of {LARGE:,} routes: {time.thread_time() - started:.2f} s, {len(found)} found")


def _drain(steps: Generator[int, None, Router[int]]) -> tuple[float, int]:
    longest = 0.0
    clock = time.thread_time
    while True:
        started = clock()
        try:
            while clock() - started < SLICE_SECONDS:
                next(steps)
        except StopIteration as stop:
            return max(longest, clock() - started), stop.value.size
        longest = max(longest, clock() - started)


def measure_memory() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    table = rules(LARGE)
    with_rules, _ = tracemalloc.get_traced_memory()
    router = Router.build(table)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"memory: {(after - with_rules) / LARGE:.0f} bytes a route in the table, "
        f"{(with_rules - before) / LARGE:.0f} in the rules ({router.size:,} routes)"
    )


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}")
    measure_lookups()
    measure_build()
    measure_memory()
