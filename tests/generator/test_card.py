"""The default model card."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tina_framework.generator.card import datasets_of, license_of, model_card
from tina_framework.generator.generator import Generator

FIGURES = {"accuracy": 0.5, "selection": 0.45, "difference": 0.05, "standard_error": 0.012, "num_tasks": 40}
EVIL = "</code><script>alert(1)</script>`|\n# Title\n```\n---\n[a](javascript:x)\x1b[31m"
RECIPE = {"dataset": "arrays:toy.npz", "train_split": "train", "zoo": "toy-zoo"}


@pytest.fixture(scope="module")
def config():
    return Generator.from_pretrained("cifar100-cnn").config


def test_data_and_validation_are_told(config) -> None:
    training = {"recipe": RECIPE, "zoo_models": 7, "validation": FIGURES}
    card = model_card(dataclasses.replace(config, training=training))
    assert "Trained on images `train` of the data set `arrays:toy.npz`, and 7 networks of the zoo `toy-zoo`." in card
    assert "larger network" not in card
    assert "50.0 % on 40 validation tasks" in card
    assert "(selection) had 45.0 %: a difference of +5.00 ± 1.20 points" in card


def test_a_teacher_is_told(config) -> None:
    card = model_card(dataclasses.replace(config, training={"taught_by": "resnet on toys"}))
    assert "It also learnt from the answers of a larger network, `resnet on toys`." in card


@pytest.mark.parametrize("validation", [None, {}, {"accuracy": 0.5}, {**FIGURES, "selection": "much"}, 3])
def test_what_was_not_recorded_is_not_told(config, validation: object) -> None:
    card = model_card(dataclasses.replace(config, training={"validation": validation}))
    assert "The training data was not recorded." in card
    assert "validation tasks" not in card


def test_its_metadata_are_those_of_the_hub(config) -> None:
    data = ModelCard(model_card(config, "me/mine")).data
    assert (data.license, data.pipeline_tag, data.library_name) == (
        "unknown",
        "zero-shot-image-classification",
        "tina-framework",
    )
    assert data.datasets == ["cifar100"]
    assert 'Generator.from_pretrained("me/mine")' in model_card(config, "me/mine")


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("shapes", ["shapes"]),
        ("arrays:/home/me/pets.npz", ["pets"]),
        ("image-folder:C:\\secret\\pets\\", ["pets"]),
        ("image-folder:my pets", []),
        (EVIL, []),
        (None, []),
        (3, []),
    ],
)
def test_data_sets_are_named_without_their_folders(config, spec: object, names: list[str]) -> None:
    assert datasets_of(dataclasses.replace(config, training={"dataset": spec})) == names
    assert datasets_of(dataclasses.replace(config, training={"datasets": [spec, spec, "other"]})) == [*names, "other"]


def test_the_limits_name_the_classes_it_knows(config) -> None:
    assert f"trained on {len(config.class_names)} classes" in model_card(config)


def test_nothing_in_a_configuration_is_read_as_markdown_or_html(config) -> None:
    training = {"recipe": {"dataset": EVIL, "train_split": EVIL, "zoo": EVIL}, "zoo_models": EVIL, EVIL: EVIL}
    training["taught_by"] = EVIL
    changed = dataclasses.replace(
        config,
        condition={**config.condition, "space": EVIL, "templates": [EVIL]},
        default_encoder=EVIL,
        class_names=("<img src=x onerror=alert(1)>", "```", "a|b"),
        scheduler={"name": EVIL, "config": {}},
        training=training,
        metrics={EVIL: {EVIL: {EVIL: 0.5, "3": 10**400}}},
    )
    # The last line is a comment of this package.
    plain, card = model_card(config).splitlines()[:-1], model_card(changed).splitlines()[:-1]
    assert "\x1b" not in "".join(card)
    assert card.count("```") == plain.count("```")
    assert card.count("---") == plain.count("---") == 2
    assert [line for line in card if line.startswith("#")] == [line for line in plain if line.startswith("#")]
    fenced = False
    for line in card:
        fenced = fenced != line.startswith("```")
        if not fenced:
            # Outside of code, no tag and no link is left.
            words = line.replace("<code>", "").replace("</code>", "")
            words = "".join(words.split("`")[::2])
            assert "<" not in words
            assert "](" not in words
        if line.startswith("|"):
            assert line.count("|") in (3, 5)


def test_a_long_name_is_cut(config) -> None:
    card = model_card(dataclasses.replace(config, default_encoder="x" * 10**5))
    assert max(map(len, card.splitlines())) < 1000
    assert json.dumps(config.class_names[:3]) in card


def test_the_licence_is_that_of_the_card_or_else_of_the_package(tmp_path: Path) -> None:
    assert license_of(None, "tina-framework") == "apache-2.0"
    assert license_of(tmp_path, None) is None
    assert license_of(tmp_path, "no-such-package") is None
    for line, expected in (("license: MIT", "mit"), ("license: unknown", None), ("", None), ("license: [a, b]", None)):
        (tmp_path / "README.md").write_text(f"---\n{line}\ntags: [a]\n---\n\nlicense: bsd\n")
        assert license_of(tmp_path, None) == expected
    (tmp_path / "README.md").write_text("license: mit\n")
    assert license_of(tmp_path, "tina-framework") == "apache-2.0"


def test_several_architectures_are_a_table(several_generator: Generator) -> None:
    config = several_generator.config
    card = model_card(config)
    assert "# A generator of `cnn-2layer@0.5` classifiers and others" in card
    rows = card[card.index("| architecture |") :].splitlines()[:6]
    assert rows[0] == "| architecture | parameters, 10 classes | trained | accuracy on validation tasks |"
    assert rows[2:] == [
        "| `cnn-2layer@0.5` (default) | 1,538 | yes | 30.0 % |",
        "| `cnn-2layer@0.75` | 3,166 | no | not recorded |",
        "| `cnn-2layer` | 5,370 | yes | 50.0 % |",
        "| `cnn-3layer` | 14,586 | yes | 40.0 % |",
    ]
    assert 'other = generator(["ant", "bee", "cat"], architecture="cnn-2layer")' in card
    assert "- It generates the architectures above. Loading" in card
    assert "No accuracy was recorded." in card
    entry = {**config.architectures["cnn-3layer"], "metrics": {"toy": {"seen": {"3": 0.5}}}}
    recorded = dataclasses.replace(config, architectures={**config.architectures, "cnn-3layer": entry})
    table = "| architecture | encoder | split | classes | accuracy |\n|---|---|---|---|---|\n| `cnn-3layer` | `toy` | seen | 3 | 50.0 % |"
    assert table in model_card(recorded)


def test_sizes_are_unknown_if_a_plugin_is_missing(several_generator: Generator) -> None:
    config = several_generator.config
    entries = {**config.architectures, "lost|net": {"whitened": [], "trained": True}}
    card = model_card(dataclasses.replace(config, architectures=entries))
    assert "| unknown | yes | not recorded |" in card
    assert "lost|net` |" not in card


def test_one_architecture_has_no_table(config) -> None:
    card = model_card(config)
    assert "| architecture |" not in card
    assert "architecture=" not in card
    assert "It generates one architecture. Loading it needs" in card


def test_figures_of_several_architectures_are_said_to_be_means(several_generator: Generator) -> None:
    card = model_card(dataclasses.replace(several_generator.config, training={"validation": FIGURES}))
    assert (
        "On average over the 3 trained architectures, the generated models had 50.0 % on 40 validation tasks." in card
    )
    assert "points (mean of the standard errors over tasks)" in card


def test_only_the_default_architecture_is_said_to_abstain(several_generator: Generator, config) -> None:
    assert ", unless they may abstain (" in model_card(config)
    several = dataclasses.replace(several_generator.config, abstention=config.abstention)
    assert ", unless they are networks of `cnn-2layer@0.5` and may abstain (" in model_card(several)
