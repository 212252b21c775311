"""Processes: sockets, workers, the supervisor, and the place where all parts are put together."""
