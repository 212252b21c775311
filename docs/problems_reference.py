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
the remedy, a severity and a code (this page is made by `python docs/problems_reference.py`).

- **Errors** reject the configuration: `gateway check` exits with 1, a start fails, a reload leaves the old
  configuration in force.
- **Warnings** do not: the configuration is valid, and something in it is unlikely to be meant.

Codes are stable, messages are not: programs compare codes. `gateway check --json` prints both:

```json
{
  "ok": false,
  "problems": [
    {"file": "gateway.yaml", "line": 3, "column": 12, "key": "routes[0].path", "severity": "error",
     "code": "route.path-invalid", "message": "..."}
  ]
}
```

Plugins report problems of their own with their name before the code (`PLUGIN.what`); their READMEs list them. How a
plugin does that is in the README of `gateway-plugin-sdk`, "Checking a configuration".
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *_tables()])


def _tables() -> Iterator[str]:
    for area, codes in groupby(sorted(CODES), key=lambda code: code.partition(".")[0]):
        yield f"## {area}\n"
        yield "| code | meaning |\n| --- | --- |"
        yield from (f"| `{code}` | {CODES[code]} |" for code in codes)
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
