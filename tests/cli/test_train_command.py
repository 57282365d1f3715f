"""``tina train`` passes its options on to `tina_framework.training`."""

from __future__ import annotations

import pytest

from tina_framework.cli.__main__ import main


def test_its_help_page_is_that_of_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    assert end.value.code in (0, None)
    page = capsys.readouterr().out
    assert "tina train" in page
    assert "--learning_rate NUMBER" in page


def test_wrong_settings_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--zoo", "zoo", "--dataset", "shapes", "--encoders", "clip-lite", "--output_dir", "run", "--dropout", "2"]
    with pytest.raises(SystemExit) as end:
        main(["train", *words])
    assert end.value.code == 2
    assert "dropout = '2' (flag --dropout)" in capsys.readouterr().err
