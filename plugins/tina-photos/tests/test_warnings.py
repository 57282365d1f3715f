"""The labels that the generator `photos` was fitted to are known, so they have no warning."""

from __future__ import annotations

from tina_framework import Generator
from tina_framework.prompts.encoded_task import encode_tasks


def test_no_label_of_imagenet_has_a_warning() -> None:
    generator = Generator.from_pretrained("photos", device="cpu")
    names = generator.config.class_names
    assert len(names) == 1000
    tasks = encode_tasks(
        [names[start : start + 100] for start in range(0, 1000, 100)],
        generator.encoder,
        known_classes=generator.known_classes(),
    )
    assert generator.prompt_warnings(tasks) == []
