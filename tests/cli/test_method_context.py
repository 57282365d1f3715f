"""What plugins check gives to methods: a whole context, without downloads and without real pictures."""

from __future__ import annotations

from tina_framework.cli.method_context import method_context


def test_everything_is_there() -> None:
    context = method_context()
    assert context.need_zoo().entries
    assert context.need_generic().class_names == context.generator.config.class_names
    assert context.dataset.name == "noise"
    assert context.encoder.encode_text(["apple"]).shape == (1, context.encoder.dim)
