"""Writes ``reasons.md`` from the table of codes.

Run it after a change of the table: ``python docs/reasons_reference.py``. A test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway_core.reasons import REASONS

PAGE: Final = Path(__file__).with_name("reasons.md")

INTRODUCTION: Final = """\
# Reasons

Why a response is not an upstream's, or did not reach its end. The codes are stable; texts for people are in
`record.error` (this page is made by `python docs/reasons_reference.py`).

- `record.reason` of the log phase has the code; it is `None` where an upstream's response reached its end.
- `response.failure` has it for a response that the gateway made; the response phase sees it.
- `UpstreamError.reason` has one of those that begin with `upstream.`.
- `request.abort(reason)` puts its argument into `record.reason`: a code of the plugin's own, which looks like these
  (`[a-z][a-z0-9_.-]+`).

Clients never see them. A plugin that tells apart who is to blame:

```python
from gateway_plugin_sdk import Plugin, Record, hookimpl


class Blame(Plugin[None]):
    \"\"\"Count the requests that failed by whose fault it was.\"\"\"

    name = "blame"
    default_on_error = "continue"

    @hookimpl
    def gateway_log(self, record: Record) -> None:
        reason = record.reason
        if reason is not None:
            party = reason.partition(".")[0] if "." in reason else "client"
            self.metrics.counter("acme_failures", "Failed requests.", ["party"]).labels(party).inc()
```

"""


def page() -> str:
    """Return the whole page."""
    return INTRODUCTION + "\n".join(_table()) + "\n"


def _table() -> Iterator[str]:
    yield "| code | status | meaning |"
    yield "| --- | --- | --- |"
    for code, (status, text) in sorted(REASONS.items(), key=lambda each: ("." in each[0], each[0])):
        yield f"| `{code}` | {status} | {text} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
