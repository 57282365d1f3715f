"""Suggestions for misspelt names."""

from __future__ import annotations

from tina_framework.plugin.suggest import closest, did_you_mean

KNOWN = ("cnn-2layer", "resnet20", "mlp")


def test_a_close_name_is_suggested() -> None:
    assert did_you_mean("cnn-2l", KNOWN) == " Did you mean 'cnn-2layer'?"
    assert did_you_mean("zebra", KNOWN) == ""
    assert did_you_mean("mlpp", ()) == ""


def test_case_matters_unless_it_is_folded() -> None:
    assert did_you_mean("RESNET", KNOWN) == ""
    assert did_you_mean("RESNET", KNOWN, fold_case=True) == " Did you mean 'resnet20'?"


def test_several_names_come_in_order_of_similarity() -> None:
    assert closest("bat", ["cat", "bath", "zoo"], count=3) == ["bath", "cat"]
    assert closest("bat", ["cat", "bath", "zoo"], count=3, cutoff=0.85) == ["bath"]
