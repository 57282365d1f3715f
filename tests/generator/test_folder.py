"""Generator folders: round trip, registered names, and everything that may be wrong with one."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import CheckpointError, ConfigError, PluginError, UnknownNameError
from tina_framework.generator import folder as generator_folder
from tina_framework.generator.folder import find_folder, provider_of
from tina_framework.generator.generator import Generator, GeneratorConfig
from tina_framework.plugin.registration import list_generators
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.row_retrieval import RowRetrieval
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.temporary import OLD, temporary_name

NAMES = ["dog", "ant", "fox"]


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "generator"))


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def _edit(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "config.json").read_text())
    values.update(changes)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    renew_digest(folder / "config.json")


def test_round_trip(tiny_generator: Generator, folder: Path) -> None:
    loaded = Generator.from_pretrained(folder, device="cpu")
    assert loaded.config == GeneratorConfig.from_dict(tiny_generator.config.to_dict())
    assert loaded.config.to_dict() == tiny_generator.config.to_dict()
    assert loaded.name == "generator"
    expected = dict(tiny_generator(NAMES, seed=4).network.state_dict())
    for name, tensor in loaded(NAMES, seed=4).network.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert loaded.generic is not None
    assert tiny_generator.generic is not None
    assert all(torch.equal(loaded.generic[name], tensor) for name, tensor in tiny_generator.generic.items())
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "generic.safetensors",
        "README.md",
    }


def test_a_loaded_generator_can_be_trained_further(folder: Path) -> None:
    loaded = Generator.from_pretrained(folder, device="cpu")
    assert not loaded.denoiser.training
    assert all(parameter.requires_grad for parameter in loaded.denoiser.parameters())
    (folder / "model.safetensors").write_bytes(b"")  # what was loaded does not hang on the file
    assert loaded(NAMES).num_parameters > 0


def test_the_config_holds_names_and_no_import_paths(folder: Path) -> None:
    text = (folder / "config.json").read_text()
    values = json.loads(text)
    assert values["format"] == "tina-generator"
    assert values["format_version"] == 1
    assert values["tokenizer"]["name"] == "class-row"
    assert values["scheduler"]["name"] == "ddim"
    assert "tina_framework" not in text
    assert "import" not in text


def test_generic_is_optional(tiny_generator: Generator, tmp_path: Path) -> None:
    bare = Generator(
        tiny_generator.config, tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space
    )
    bare.save_pretrained(tmp_path / "bare", card="# My card\n")
    assert not (tmp_path / "bare" / "generic.safetensors").exists()
    assert (tmp_path / "bare" / "README.md").read_text() == "# My card\n"
    assert Generator.from_pretrained(tmp_path / "bare", device="cpu").generic is None


def test_the_generated_card_tells_what_is_recorded(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "| `toy` | unseen-combination | 3 | 25.0 % |" in card
    assert '"recipe": "none"' in card
    assert "toy-space" in card
    for heading in ("Data and prompts", "Accuracy of generated models", "Limits", "Training"):
        assert f"\n## {heading}\n" in card


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "tina-classifier"}, "its format is 'tina-classifier'"),
        ({"format": None, "model_type": "gpt2"}, "it states no format"),
        ({"format_version": 99}, "format_version 99, but this program reads version 1"),
        ({"surprise": 1}, "has unknown surprise"),
        ({"sha256": {}}, "records no SHA-256 of model.safetensors"),
        ({"max_classes": None}, "lacks max_classes"),
        ({"architecture": "cnn-2leyer"}, "Did you mean 'cnn-2layer'"),
        ({"architecture": "builtins:eval"}, "cannot be created"),
        ({"preprocessing": {"fit": "crop-centre", "crop_pct": 0.875}}, "crop_pct 0.875, but the installed .* has 1.0"),
        ({"tokenizer": {"name": "class-raw", "config": {}}}, "Did you mean 'class-row'"),
        ({"tokenizer": {"name": "class-row", "config": {"evil": 1}}}, "has no setting 'evil'"),
        (
            {"tokenizer": {"name": "class-row", "config": {"chunk_size": 100}}},
            "token groups are not those of tokenizer",
        ),
        ({"tokenizer": {"name": "class-row", "config": {"chunk_size": "576"}}}, "cannot be created"),
        ({"tokenizer": "class-row"}, "not of the form"),
        ({"scheduler": {"name": "ddim", "config": {"beta_start": "x"}}}, "cannot be created"),
        ({"scheduler": {"name": "dpm", "config": {}}}, "Unknown scheduler 'dpm'"),
        ({"default_encoder": "nonsense"}, "Unknown encoder 'nonsense'"),
        ({"condition": {"space": "s", "scale": 0, "templates": []}}, "must be a number above 0"),
        ({"condition": {"space": "s"}}, "needs exactly space, scale and templates"),
        ({"denoiser": {}}, "denoiser's configuration lacks"),
        ({"denoiser": 5}, "not a table of settings"),
        ({"max_classes": 1}, "max_classes=1 is not an integer from 2 to 10,000"),
        ({"max_classes": 11}, "built for 10 at most"),
        ({"num_inference_steps": 0}, "num_inference_steps=0"),
        ({"class_names": "abc"}, "class_names is .*not a list"),
        ({"class_names": ["a", "b"]}, r"generic\.safetensors.*shape"),
        ({"metrics": []}, "is not a table"),
    ],
)
def test_altered_configs_are_refused(folder: Path, changes: dict[str, Any], sentence: str) -> None:
    _edit(folder, **changes)
    with pytest.raises(CheckpointError, match=sentence):
        Generator.from_pretrained(folder)


def test_config_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        Generator.from_pretrained(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="states no format"):
        Generator.from_pretrained(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "generic.safetensors"])
def test_truncated_weights_are_refused(folder: Path, file: str) -> None:
    path = folder / file
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="truncated or altered"):
            Generator.from_pretrained(folder)


def test_a_flipped_header_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for position in (0, 3, 8, 9):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        with pytest.raises(CheckpointError, match="altered"):
            Generator.from_pretrained(folder)


def test_numbers_that_became_nan_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\xff\xff\xff\xff")  # the last number becomes NaN
    with pytest.raises(CheckpointError, match="not finite"):
        Generator.from_pretrained(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "generic.safetensors"])
def test_a_number_changed_a_little_is_noticed(folder: Path, file: str) -> None:
    path = folder / file
    whole = path.read_bytes()
    path.write_bytes(bytes([*whole[:-4], whole[-4] ^ 1, *whole[-3:]]))
    with pytest.raises(CheckpointError, match=f"{file}' was altered"):
        Generator.from_pretrained(folder)


@pytest.mark.parametrize("name", ["denoiser.condition.weight", "normalizer.scale.fc.bias", "condition.mean"])
def test_wrong_tensors_are_refused(folder: Path, name: str) -> None:
    path = folder / "model.safetensors"
    tensors = _tensors(path)
    broken = {
        "not finite": torch.full_like(tensors[name], torch.nan),
        "has shape": torch.zeros(7, 7),
        "instead of floating-point numbers": torch.zeros_like(tensors[name], dtype=torch.int32),
    }
    for sentence, tensor in broken.items():
        save_file({**tensors, name: tensor}, path)
        with pytest.raises(CheckpointError, match=sentence):
            Generator.from_pretrained(folder)
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        Generator.from_pretrained(folder)
    save_file({**tensors, "denoiser.backdoor": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"unknown denoiser\.backdoor"):
        Generator.from_pretrained(folder)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors' does not exist"):
        Generator.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"has no config\.json.*which needs config\.json with format 'tina-generator'"
    ):
        Generator.from_pretrained(folder)


def test_saving_replaces_a_generator_and_nothing_else(tiny_generator: Generator, folder: Path) -> None:
    tiny_generator.save_pretrained(folder)
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match="holds other files besides"):
        tiny_generator.save_pretrained(folder)
    assert (folder / "notes.txt").read_text() == "precious"
    assert [path.name for path in folder.parent.iterdir()] == ["generator"]


def test_a_denoiser_that_is_not_finite_is_not_saved(tiny_generator: Generator, folder: Path) -> None:
    loaded = Generator.from_pretrained(folder, device="cpu")
    with torch.no_grad():
        next(loaded.denoiser.parameters()).fill_(torch.inf)
    with pytest.raises(CheckpointError, match="not finite"):
        loaded.save_pretrained(folder)
    assert Generator.from_pretrained(folder)(NAMES).num_parameters > 0


def test_a_generator_of_a_plugin_is_found_by_its_name(generator_plugin: Path) -> None:
    assert list_generators() == ["absent", "cifar100-cnn", "cifar100-cnn-taught", "cifar100-many", "toys"]
    assert find_folder("toys") == generator_plugin / "pretrained" / "toys"
    loaded = Generator.from_pretrained("toys", device="cpu")
    assert (loaded.name, loaded.folder) == ("toys", generator_plugin / "pretrained" / "toys")
    with pytest.raises(ConfigError, match="revision"):
        find_folder("toys", revision="main")
    with pytest.raises(
        PluginError, match=r"Generator 'absent' of 'fake-toys' points at .* no such folder; reinstall it"
    ):
        Generator.from_pretrained("absent")


def test_a_generator_of_a_plugin_is_checked_like_any_folder(generator_plugin: Path) -> None:
    config = generator_plugin / "pretrained" / "toys" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "num_inference_steps": 5}))
    with pytest.raises(CheckpointError, match="was changed"):
        Generator.from_pretrained("toys")
    config.write_text(json.dumps(values))
    weights = config.with_name("model.safetensors")
    save_file({name: tensor + 1 for name, tensor in _tensors(weights).items()}, weights)
    with pytest.raises(CheckpointError, match="was altered"):
        Generator.from_pretrained("toys")


def test_a_registered_name_comes_before_a_folder(generator_plugin: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "toys").mkdir()  # of pictures, for instance
    own = generator_plugin / "pretrained" / "toys"
    assert find_folder("toys") == own
    assert Generator.from_pretrained("toys").folder == own
    shutil.rmtree(tmp_path / "toys")
    shutil.copytree(tiny_folder, tmp_path / "toys")
    assert find_folder("./toys") == Path("toys")
    for name in ("./toys", Path("toys"), tmp_path / "toys"):
        loaded = Generator.from_pretrained(name)
        assert (loaded.name, loaded.folder and loaded.folder.resolve()) == ("toys", (tmp_path / "toys").resolve())
    names = ("toys", "cifar100-cnn", "./toys", "a/b")
    assert [provider_of(name) for name in names] == ["fake-toys", "tina-framework", None, None]


def test_unknown_names_list_and_suggest(generator_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UnknownNameError, match=r"^Unknown generator 'tois'\. Did you mean 'toys'\? Known: absent, cifar100"
    ):
        Generator.from_pretrained("tois")
    for name in ("../x/y", "", "a/b/c", "/no/such/folder"):
        with pytest.raises(
            UnknownNameError, match=r"Unknown generator .* Otherwise give an existing folder or a Hub id"
        ):
            Generator.from_pretrained(name)
    monkeypatch.setattr(generator_folder, "extra_named", lambda name, of: f"It is in {of}'s {name}.")
    with pytest.raises(UnknownNameError, match=r"It is in tina-framework's birds\. Oth"):
        Generator.from_pretrained("birds")
    Path("birds").mkdir()  # of pictures
    with pytest.raises(UnknownNameError, match=r"It is in tina-framework's birds"):
        Generator.from_pretrained("birds")
    monkeypatch.setattr(generator_folder, "extra_named", lambda name, of: f"It comes with {name}." * (name == "birds"))
    with pytest.raises(UnknownNameError, match=r"It comes with birds\. Oth"):
        Generator.from_pretrained("birds-cnn")


@pytest.mark.skipif(torch.__version__ < "2.14", reason="torch 2.9 imports sympy to check a size")
def test_loading_and_generating_start_no_compiler() -> None:
    """Drawing normal numbers on the device "meta" imports torch's compiler, which took a third of a command's time."""
    code = (
        "import sys, tina_framework as tina; tina.Generator.from_pretrained('cifar100-cnn', device='cpu')(['apple', 'bear']); "
        "print({'torch._dynamo', 'sympy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def test_a_plugin_that_is_left_out_is_named(generator_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINA_DISABLE_PLUGINS", "fake-toys")
    with pytest.raises(UnknownNameError, match=r"Unknown generator 'toys'.*'fake-toys' \(toys\) is disabled by"):
        Generator.from_pretrained("toys")


@pytest.fixture
def recalling(tiny_generator: Generator) -> Generator:
    """A generator that recalls the rows of the first twelve classes."""
    config, space = tiny_generator.config, tiny_generator.condition_space
    names = config.class_names[:12]
    keys = space.apply(tiny_generator.encoder.encode_text(names))
    draws = torch.Generator().manual_seed(0)
    width = config.denoiser.group_widths[config.denoiser.class_group]
    recall = RowRetrieval(keys, torch.randn(len(names), width, generator=draws))
    sizes = dataclasses.replace(config.denoiser, condition_dim=config.denoiser.condition_dim + 1, given_row=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        denoiser = Denoiser(sizes)
    made = dataclasses.replace(
        config,
        denoiser=sizes,
        condition={**config.condition, "recall": recall.settings()},
        class_names=config.class_names,
    )
    generator = Generator(
        made, denoiser, tiny_generator.normalizer, ConditionSpace(space.space, space.mean, space.scale, recall)
    )
    generator._encoder = tiny_generator.encoder
    return generator


def test_what_is_recalled_travels_along(recalling: Generator, tmp_path: Path) -> None:
    recalling.save_pretrained(tmp_path / "recalling")
    loaded = Generator.from_pretrained(tmp_path / "recalling", device="cpu")
    names = recalling.config.class_names[:2] + recalling.config.class_names[-2:]
    ours, theirs = recalling(names), loaded(names)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    # An untrained denoiser adds nothing: a class has the row that is recalled.
    space = recalling.condition_space
    assert space.row_retrieval is not None
    recalled = space.row_retrieval.retrieve(space.apply(recalling.encoder.encode_text(names)))[0][:, :32]
    base, scale = recalling.normalizer.base["fc.weight"], recalling.normalizer.scale["fc.weight"]
    torch.testing.assert_close(ours.network.state_dict()["fc.weight"], recalled * scale + base, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("recall", "sentence"),
    [
        ({"classes": 12}, "needs exactly classes, temperature and strength"),
        ({"classes": 12, "temperature": 0, "strength": 3.0}, "temperature of the condition's recall is 0"),
        ({"classes": 12.5, "temperature": 50.0, "strength": 3.0}, "whole number of classes"),
        ({"classes": 11, "temperature": 50.0, "strength": 3.0}, "shape"),
    ],
)
def test_an_altered_recall_is_refused(
    recalling: Generator, tmp_path: Path, recall: dict[str, Any], sentence: str
) -> None:
    recalling.save_pretrained(tmp_path / "recalling")
    values = json.loads((tmp_path / "recalling" / "config.json").read_text())
    _edit(tmp_path / "recalling", condition={**values["condition"], "recall": recall})
    with pytest.raises(CheckpointError, match=sentence):
        Generator.from_pretrained(tmp_path / "recalling")


def test_a_generator_that_a_killed_process_had_moved_aside_is_found(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, temporary_name(tmp_path / "tiny", OLD))
    assert find_folder(str(tmp_path / "tiny")) == tmp_path / "tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
