"""What each form of the access log adds to a request, its lines included, on traffic that repeats and that does not.

    python -m benchmarks.logger                   # microseconds per request that each form adds
    python -m benchmarks.logger json              # only cases whose name has this in it
    python -m benchmarks.logger "json, varied" -p # where they go

Traffic and method are those of `plugins.py`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import Final

from benchmarks.pipeline import ANSWER, prepare, round_trip
from benchmarks.plugins import USERS, added, config, profile, repeated, token, varied

FORMS: Final[Mapping[str, str]] = {
    "json": "path: /dev/null",
    "logfmt": "path: /dev/null, format: logfmt",
    "combined": "path: /dev/null, format: combined",
    "template": 'path: /dev/null, format: "{time} {method} {path} {status}"',
}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", default="")
    parser.add_argument("-p", "--profile", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=8000)
    arguments = parser.parse_args()
    traffic = {"repeated": repeated(), "varied": varied([token(each) for each in range(USERS)], arguments.seed)}
    for kind, requests in traffic.items():
        bare = round_trip(await prepare(config([])), requests, ANSWER)
        for form, options in FORMS.items():
            plugins = [f"{{name: logger, config: {{{options}}}}}"]
            if arguments.case not in f"{form}, {kind}":
                continue
            if arguments.profile:
                await profile(requests, plugins, arguments.count)
                return
            run = round_trip(await prepare(config(plugins)), requests, ANSWER)
            cost, more = await added(run, bare, arguments.rounds, arguments.count)
            print(f"{form + ', ' + kind:22s} {more:+8.2f} us   (without {cost:.2f})")


if __name__ == "__main__":
    asyncio.run(main())
