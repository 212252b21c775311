from __future__ import annotations

import logging

from gateway_core.testing.log_keeper import LogKeeper


def test_it_keeps_what_is_said_while_it_listens() -> None:
    logger, keeper = logging.getLogger("gateway.test"), LogKeeper()

    logger.warning("before")
    keeper.begin()
    logger.info("during")
    logger.debug("too fine")
    keeper.end()
    logger.warning("after")

    assert [record.getMessage() for record in keeper.records] == ["during"]


def test_the_level_is_what_it_was() -> None:
    level = logging.getLogger("gateway").level
    keeper = LogKeeper()

    keeper.begin()
    keeper.end()

    assert logging.getLogger("gateway").level == level
