from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from gateway_core.messages import Identity


def test_identities_can_be_keys_whatever_their_claims() -> None:
    first, second = Identity("ann", "jwt", {"roles": ["a"]}), Identity("ann", "jwt", {"roles": ["a"]})

    assert first == second
    assert len({first, second}) == 1


def test_an_identity_cannot_be_changed_on_the_way() -> None:
    with pytest.raises(FrozenInstanceError):
        Identity("ann").subject = "root"  # type: ignore[misc]
