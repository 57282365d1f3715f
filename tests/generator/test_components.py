"""The architecture, tokenizer and encoder that a configuration names."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.generator.comparison import assert_differ
from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.generator.components import make_encoder, make_recorded_encoder, make_spec
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries

NAMES = ["dog", "ant", "fox", "bee"]


class _Stranger:
    name, dim, space, templates = "stranger", 24, "another-space", ("{}",)


def test_encoders_of_another_space_are_refused(tiny_generator: Generator) -> None:
    with pytest.raises(ConfigError, match=r"'stranger' gives vectors of the space 'another-space'.*reads 'toy-space'"):
        tiny_generator(NAMES, encoder=_Stranger())  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Unknown encoder 'toi'"):
        tiny_generator(NAMES, encoder="toi")


def test_another_encoder_of_the_same_space_is_used(tiny_generator: Generator) -> None:
    class Upside:
        name, dim, space, templates = "upside", 24, "toy-space", ("{}",)

        def encode_text(self, texts: list[str], template: int = 0) -> np.ndarray:
            return -tiny_generator.encoder.encode_text(texts)

    model = tiny_generator(NAMES, encoder=Upside())
    assert model.provenance["encoder"] == "upside"
    assert_differ(model, tiny_generator(NAMES))
    assert_differ(tiny_generator(NAMES, template=1), tiny_generator(NAMES))


def test_a_plugin_that_makes_something_else_is_named(
    tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries().architectures, "create", lambda name: {})
    with pytest.raises(PluginError, match="Architecture 'cnn-2layer' made a dict, not a TargetArchitecture"):
        make_spec(tiny_generator.config)


def test_an_encoder_is_made_from_its_name_or_taken(tiny_generator: Generator) -> None:
    space = tiny_generator.condition_space
    assert make_encoder("toy", space).name == "toy"
    assert make_encoder(tiny_generator.encoder, space) is tiny_generator.encoder
    with pytest.raises(ConfigError, match="The encoder is 5; give the name of one"):
        make_encoder(5, space)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", ["clip-vit-b-32", "embedding-table:/etc/passwd", "clip-lite:/tmp", "toy:x"])
def test_a_folder_cannot_choose_an_encoder_that_uses_network_or_files(
    tiny_generator: Generator, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(tiny_generator.config, default_encoder=spec)
    parts = (tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space)
    Generator(config, *parts).save_pretrained(tmp_path / "generator")
    loaded = Generator.from_pretrained(tmp_path / "generator", device="cpu")
    with monkeypatch.context() as patched:
        patched.setattr(registries().encoders, "create", lambda spec: pytest.fail(f"{spec} was made"))
        with pytest.raises(ConfigError, match=f"^Generator 'generator' .* --encoder {spec} or encoder='{spec}'"):
            loaded(NAMES)
    assert loaded(NAMES, encoder="toy").provenance["encoder"] == "toy"


def test_a_generator_in_memory_uses_its_own_encoder(tiny_generator: Generator) -> None:
    class Undeclared(registries().encoders.target("toy")):  # type: ignore[misc]
        name, self_contained = "undeclared", False

    registries().encoders.add("undeclared", Undeclared)
    config = dataclasses.replace(tiny_generator.config, default_encoder="undeclared")
    made = Generator(config, tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space)
    assert made.encoder.name == "undeclared"
    with pytest.raises(ConfigError, match="may download data"):
        make_recorded_encoder("undeclared", made.condition_space, "mine")


def test_the_bundled_generator_chooses_an_encoder_of_the_package() -> None:
    assert Generator.from_pretrained("cifar100-cnn", device="cpu").encoder.name == "clip-lite"


def test_a_generator_and_its_encoder_may_come_from_one_plugin(generator_plugin: Path, tmp_path: Path) -> None:
    assert Generator.from_pretrained("toys", device="cpu")(NAMES).provenance["encoder"] == "toy"
    copied = Generator.from_pretrained(generator_plugin / "pretrained" / "toys", device="cpu")
    with pytest.raises(ConfigError, match="'toys' names the encoder 'toy', which may download data"):
        copied(NAMES)
    shutil.copytree(generator_plugin / "pretrained" / "toys", tmp_path / "toys")
    for name in ("./toys", Path("toys")):  # a stranger's folder of the same name
        with pytest.raises(ConfigError, match="may download data"):
            Generator.from_pretrained(name, device="cpu")(NAMES)


def test_a_program_is_nobodys_plugin(tiny_generator: Generator) -> None:
    class Quiet(registries().encoders.target("toy")):  # type: ignore[misc]
        self_contained = False

    if "quiet" not in registries().encoders:
        registries().encoders.add("quiet", Quiet)
    for provider in (None, "tina-framework"):
        with pytest.raises(ConfigError, match="may download data"):
            make_recorded_encoder("quiet", tiny_generator.condition_space, "mine", provider)
