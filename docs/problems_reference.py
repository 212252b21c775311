"""Writes ``problems.md`` from the table of codes.

Run it after a change of the table: ``python docs/problems_reference.py``. A test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from gateway_core.config.codes import CODES

PAGE: Final = Path(__file__).with_name("problems.md")

INTRODUCTION: Final = """\
# Problems

What `gateway check` finds, and what a start and a reload refuse. Each problem has a place, a key path, a message with
a remedy, a severity and a code (this page is made by `python docs/problems_reference.py`).

- **Errors** reject the configuration: `gateway check` exits with 1, a start fails, a reload leaves the old
  configuration in force.
- **Warnings** do not: the configuration is valid, and something in it is unlikely to be meant. `gateway check` prints
  them, `gateway run` prints them at the start and after each reload; `gateway_config_warnings` in `/metrics` counts
  those of the configuration in force, `/config` of the admin listener lists them.

| option of `check` | what changes |
| --- | --- |
| `--strict` | warnings are errors |
| `--offline` | no source is asked; files that are missing are warnings, broken ones stay errors |
| `--json`, `--output json` | problems as JSON on stdout |
| `--output github` | annotations of GitHub Actions on stdout, which show problems beside the lines of a pull request |
| `--output sarif` | a SARIF 2.1.0 log on stdout, for code scanners and editors |

| exit status | meaning |
| --- | --- |
| 0 | no errors |
| 1 | errors; a file that is missing is one |
| 2 | wrong usage |
| 3 | undecided: a source did not respond, or a file that exists could not be read |

What is read as data goes to standard output, all else to standard error. In GitHub Actions:

```yaml
steps:
  - run: gateway check --offline --output github gateway.yaml
```

`gateway explain CODE` says what a code means and what to do about it, also for the [reasons](reasons.md) of responses;
without a code it lists all of them.

Codes are stable, messages are not: programs compare codes. `gateway check --json` prints both:

```json
{
  "ok": false,
  "problems": [
    {"file": "gateway.yaml", "line": 3, "column": 12, "key": "routes[0].path", "severity": "error",
     "code": "route.path-invalid", "message": "...", "remedy": "..."}
  ]
}
```

Plugins report problems of their own with their name before the code (`PLUGIN.what`); their READMEs list them. How a
plugin does that is in the README of `gateway-plugin-sdk`, "Checking a configuration".

## Protected routes

A route is protected by the bindings of its chain that decide who may pass (`auth`, `ratelimit`, and every plugin with
`access_control`), unless they run in shadow mode. When one of the route's conditions fails (its methods, a header, a
query parameter, a host), the next best route is tried, and that one may send the request to the same target without the
protection; so may a less specific route that takes an exact path with a `/` behind, and a route whose `strip_path` or
`rewrite` makes the protected path of another one (`/pub/admin` becomes `/admin`). `route.protection-bypassed` names
both routes and a request that does it. Bind the plugin on the other route too, or gateway-wide, or add a route with the
same path and the binding for the requests that are left. A route that names another path without protection
(`path: /login`) counts as an exemption and is no warning, and so does one with another target, or with a binding of a
plugin that provides the same.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *_tables()])


def _tables() -> Iterator[str]:
    for area, codes in groupby(sorted(CODES), key=lambda code: code.partition(".")[0]):
        yield f"## {area}\n"
        yield "| code | meaning | what to do |\n| --- | --- | --- |"
        yield from (f"| `{code}` | {CODES[code].meaning} | {CODES[code].remedy} |" for code in codes)
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
