"""The events of the gateway's log: one catalogue of stable names, with the level and the fields of each.

    emit(WORKER_ENDED, f"{worker} ended unexpectedly: {why}", worker=2, pid=812, reason=why)

An event is one line on stderr. Its name and its fields are for programs: alerts and searches may depend on them. The
text is for people, and may change. Names are ``subject.what_happened``. docs/events.md is made from the catalogue.

The modules here have the events by what they are about; `event` has what an event is. All others import the events
from this package.
"""

# ruff: noqa: F403 - one name for each event, which its module alone has to list

from gateway_core.events.admin import *
from gateway_core.events.certificates import *
from gateway_core.events.configuration import *
from gateway_core.events.event import *
from gateway_core.events.plugins import *
from gateway_core.events.processes import *
from gateway_core.events.requests import *
from gateway_core.events.upstreams import *
