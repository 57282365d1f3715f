"""A bounded cache of constant tables: computed once, dropped when old, safe in threads, and empty in copies."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tina_framework.interfaces.constant_tables import ConstantTables


def test_a_table_is_made_once_and_the_oldest_is_dropped() -> None:
    tables, made = ConstantTables(2), []

    def get(key: str) -> str:
        return tables.get(key, lambda: made.append(key) or key.upper())  # type: ignore[func-returns-value]

    assert [get(key) for key in "abacab"] == list("ABACAB")
    # "b" was used least recently when "c" came, so it is made again.
    assert made == ["a", "b", "c", "b"]
    assert len(tables) == 2


def test_tables_made_under_inference_mode_are_ordinary_tensors() -> None:
    with torch.inference_mode():
        table = ConstantTables().get("key", lambda: torch.ones(2))
    assert not table.is_inference()


def test_an_error_keeps_nothing() -> None:
    tables = ConstantTables()
    with pytest.raises(ZeroDivisionError):
        tables.get("key", lambda: 1 // 0)
    assert tables.get("key", lambda: 1) == 1


def test_all_threads_get_the_same_tables() -> None:
    tables = ConstantTables(8)

    def work(number: int) -> list[torch.Tensor]:
        return [
            tables.get(("outer", key), lambda key=key: tables.get(key, lambda: torch.full((2,), key)))
            for key in range(4)
        ]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(200)))
    for key in range(4):
        assert len({id(result[key]) for result in results}) == 1
        assert results[0][key].tolist() == [key, key]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda tables: pickle.loads(pickle.dumps(tables))])
def test_copies_are_empty_and_work(copied) -> None:  # type: ignore[no-untyped-def]
    tables = ConstantTables(3)
    tables.get("key", lambda: 1)
    other = copied(tables)
    assert (len(other), other.most) == (0, 3)
    assert other.get("key", lambda: 2) == 2
