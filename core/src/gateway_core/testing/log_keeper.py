"""What the gateway's loggers said, for tests."""

from __future__ import annotations

import logging


class LogKeeper(logging.Handler):
    """Keeps the records of the gateway's loggers, from INFO on."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []
        self._logger = logging.getLogger("gateway")
        self._level = logging.NOTSET

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def begin(self) -> None:
        """Listen; the loggers' level goes down to INFO meanwhile."""
        self._level = self._logger.level
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)

    def end(self) -> None:
        """Listen no more."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
