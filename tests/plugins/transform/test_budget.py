from __future__ import annotations

import pytest
from gateway_plugin_transform.budget import Budget, OverBudgetError


def test_each_body_has_all_operations_and_none_beyond_them() -> None:
    budget = Budget(3)

    for _ in range(2):
        budget.begin()
        budget.spend()
        budget.spend(2)
        with pytest.raises(OverBudgetError):
            budget.spend()
