"""Write docs/events.md: the events of the gateway's log, from the catalogue in the code.

python docs/events_reference.py
"""

from __future__ import annotations

import logging
from pathlib import Path

from gateway_core.events import EVENTS

PAGE = Path(__file__).with_name("events.md")
HEAD = """# Events of the gateway's log

Made from the code by `python docs/events_reference.py`; do not edit.

The gateway writes what happens to itself on stderr, one event a line: upstreams that fail, health and breakers,
discovery, reloads, workers, plugins. Requests are logged by the [logger plugin](../plugins/logger/README.md).

    2026-11-28T19:04:05.123Z warning upstream.connect_failed: upstream 'users': endpoint 10.0.0.7:80: Connection refused

With `log: {format: json}` each line is a JSON object: `time` (UTC), `level`, `logger`, `event`, `message`, `process`
where there are several, the event's fields, and, where there are some, `details` (further lines) and `exception` (a
traceback).

* **Names and fields are stable**, texts are not: search and alert by `event`.
* An event that repeats itself, such as the failures of a dead endpoint, is one line, and then one in ten seconds;
  `count` is how many it stands for.
* Control characters are escaped in both formats. Further lines of a message are indented by two spaces in text.
* Writing never makes requests wait. What stderr does not take is dropped; `log.dropped` says how many lines that were.

| event | level | when | fields |
|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    rows = [
        f"| `{event.name}` | {logging.getLevelName(event.level).lower()} | {event.text} | "
        f"{', '.join(f'`{field}`' for field in event.fields) or '-'} |"
        for _, event in sorted(EVENTS.items())
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
