"""The records that ship are complete, and belong to the generators that ship beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.errors import CheckpointError, UnknownNameError
from tina_framework.evaluation.evaluate import config_sha256
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.reproduce import records
from tina_framework.evaluation.reproduce.figures import figures, rows
from tina_framework.evaluation.reproduce.records import Table, open_record, record_names, select_tables
from tina_framework.evaluation.reproduce.remeasure import bundled_folder
from tina_framework.zoo.tasks import load_task_file

ROOT = Path(__file__).resolve().parents[3]


TABLES = [(name, table) for name in record_names() for table in open_record(name).tables]


@pytest.mark.parametrize(("name", "table"), TABLES, ids=lambda value: getattr(value, "name", value))
def test_every_table_is_sound(name: str, table: Table) -> None:
    record = open_record(name)
    assert table.tolerance > 0
    assert table.against in {spec.label for spec in parse_methods(table.methods)}
    source = load_task_file(ROOT / table.task_file)
    if table.recorded is None:
        return
    shipped = load_task_file(record.folder / f"{table.name}.json")
    assert shipped.own, "the strict check for leaks is for files of our own"
    assert [task.classes for task in shipped.tasks] == [task.classes for task in source.tasks], "record it again"
    assert rows(figures(record.tasks(table), table.against)) == table.recorded.rows
    found = table.recorded.images[table.image_split]
    assert len(record.digests(table.image_split)) == found.images
    # Tests see no plugin, but some tables are of a plugin's generator.
    places = [path.parent for path in (ROOT / "plugins").glob(f"*/*/pretrained/{table.model}/config.json")]
    model = places[0] if places else bundled_folder(table.model)
    assert config_sha256(model) == table.recorded.model_sha256, (
        f"'{table.model}' changed: tina reproduce {name} --data FILE --record"
    )


def test_the_headline_is_recorded() -> None:
    headline = open_record("cifar100").tables[0]
    assert headline.recorded is not None
    assert {"tina", "selection"} <= {row["method"] for row in headline.recorded.rows}


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar100'"):
        open_record("cifar10")
    with pytest.raises(UnknownNameError, match="has no table 'x'"):
        select_tables(open_record("cifar100"), ["x"])


@pytest.mark.parametrize("text", ["[]", '{"format": "x", "format_version": 1}', "{}"])
def test_a_damaged_record_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(records, "_root", lambda: tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "record.json").write_text(text)
    with pytest.raises(CheckpointError, match="install the package again"):
        open_record("toy")
