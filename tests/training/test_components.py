from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.config.training import TrainingConfig, load_training_config
from tina_framework.errors import ConfigError, DataError, LeakageError
from tina_framework.generator.generator import Generator
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_json, read_safetensors, write_json, write_safetensors
from tina_framework.training.components import build_components, load_images
from tina_framework.training.loop import Trainer
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import read_manifest, write_manifest
from tina_framework.zoo.shards import read_shard, write_shard

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def without(*names: str) -> Callable[[Path], None]:
    """Makes a zoo look as if it had been built without these classes."""

    def change(folder: Path) -> None:
        manifest, state = read_json(folder / "zoo.json"), read_safetensors(folder / "generic.safetensors")
        kept = [i for i, name in enumerate(manifest["class_names"]) if name not in names]
        for name in ("fc.weight", "fc.bias"):
            state[name] = state[name][kept]
        write_safetensors(folder / "generic.safetensors", state)
        models = read_shard(folder, read_manifest(folder).config, 0)
        models = [(entry, flat) for entry, flat in models if not {*names} & {*entry.classes}]
        models = [(replace(entry, id=i), flat) for i, (entry, flat) in enumerate(models)]
        manifest["config"]["num_models"] = len(models)
        write_manifest(folder, manifest | {"class_names": [manifest["class_names"][i] for i in kept]})
        write_shard(folder, 0, models)
        write_index(folder, read_manifest(folder).config)

    return change


def test_held_out_classes_are_nowhere(make_config: Make, world: Path, tmp_path: Path) -> None:
    zoo = changed_zoo(world, tmp_path, without("ant", "lion"))
    components = build_components(make_config(zoo=zoo, held_out_classes="ant,lion", denoise_weight=0), CPU)
    assert not {"ant", "lion"} & set(components.seen_classes)
    assert components.generic["fc.weight"].shape == (10, 32)
    assert components.seen_superclasses == (1, 2, 3, 0, 1, 2, 3, 0, 1, 2)
    sampler = components.sampler("train", {"random": 1.0}, {4: 1.0})
    assert not any({"ant", "lion"} & sampler.task(i).class_set for i in range(50))


def test_a_class_that_the_zoo_has_seen_cannot_be_held_out(make_config: Make, world: Path, tmp_path: Path) -> None:
    zoo = changed_zoo(world, tmp_path, without("ant"))
    with pytest.raises(LeakageError, match="held_out_classes names 'lion', but the networks"):
        build_components(make_config(zoo=zoo, held_out_classes="ant,lion"), CPU)


def test_objectives_without_weight_are_left_out(make_config: Make) -> None:
    assert [o.name for o in build_components(make_config(task_weight=0), CPU).objectives] == ["denoise"]
    assert [o.name for o in build_components(make_config(denoise_weight=0), CPU).objectives] == ["task"]


@pytest.fixture
def open_counts(settings: dict[str, Any]) -> Callable[..., TrainingConfig]:
    """The settings without class_counts and max_classes, with changes."""

    def make(**changes: Any) -> TrainingConfig:
        left = {name: value for name, value in settings.items() if name not in ("class_counts", "max_classes")}
        return load_training_config({**left, "images_per_task": "24", **changes})

    return make


def test_class_counts_follow_a_small_number_of_classes(open_counts: Make) -> None:
    config = build_components(open_counts(), CPU).config
    assert config.class_counts == dict.fromkeys(range(2, 13), 1.0)
    assert config.max_classes == 12
    assert config.sha256() == open_counts(class_counts=config.class_counts, max_classes=12).sha256()


def test_few_classes_are_trained_for_fewer_steps(settings: dict[str, Any]) -> None:
    lengths = ("max_steps", "lr_warmup_steps", "validation_steps")
    left = {name: value for name, value in settings.items() if name not in lengths}
    config = build_components(load_training_config(left), CPU).config
    assert (config.max_steps, config.lr_warmup_steps, config.validation_steps) == (500, 100, 125)
    config = build_components(load_training_config({**left, "validation_steps": "7"}), CPU).config
    assert (config.max_steps, config.validation_steps) == (500, 7)
    config = build_components(load_training_config({**left, "max_steps": "40"}), CPU).config
    assert (config.max_steps, config.lr_warmup_steps, config.validation_steps) == (40, 200, 500)


def test_given_class_counts_stay(open_counts: Make) -> None:
    config = build_components(open_counts(class_counts="4:2,3:1"), CPU).config
    assert (config.class_counts, config.max_classes) == ({4: 2.0, 3: 1.0}, 12)
    config = build_components(open_counts(max_classes="3"), CPU).config
    assert (config.class_counts, config.max_classes) == ({2: 1.0, 3: 1.0}, 3)
    with pytest.raises(ConfigError, match="A task of 13 classes cannot be drawn from 12 classes; choose"):
        build_components(open_counts(class_counts="13"), CPU)
    with pytest.raises(ConfigError, match="images_per_task is 5, but tasks have up to 12 classes"):
        build_components(open_counts(images_per_task="5"), CPU)


def changed_zoo(world: Path, tmp_path: Path, change: Callable[[Path], None]) -> Path:
    folder = tmp_path / "zoo"
    shutil.copytree(world / "zoo", folder)
    change(folder)
    return folder


def test_a_model_of_a_reserved_set_is_a_leak(make_config: Make, world: Path, tmp_path: Path) -> None:
    from tina_framework.zoo.task_sampler import TaskSampler

    reserved = TaskSampler(make_classes(world), partition="test", class_counts={4: 1.0}).task(0).classes

    def change(folder: Path) -> None:
        config = read_manifest(folder).config
        models = read_shard(folder, config, 0)
        entry, flat = next(model for model in models if len(model[0].classes) == 4)
        models[entry.id] = (replace(entry, classes=reserved), flat)
        write_shard(folder, 0, models)
        write_index(folder, config)

    with pytest.raises(LeakageError, match="reserved for test"):
        build_components(make_config(zoo=changed_zoo(world, tmp_path, change)), CPU)


def test_a_zoo_without_models_serves_the_task_objective_alone(make_config: Make, world: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        manifest = read_json(folder / "zoo.json")
        manifest["config"]["num_models"] = 0
        write_json(folder / "zoo.json", manifest)
        renew_digest(folder / "zoo.json")
        (folder / "index.json").unlink()

    zoo = changed_zoo(world, tmp_path, change)
    assert [o.name for o in build_components(make_config(zoo=zoo, denoise_weight=0), CPU).objectives] == ["task"]
    with pytest.raises(ConfigError, match="holds no p-Model"):
        build_components(make_config(zoo=zoo), CPU)


def test_a_zoo_of_other_data_is_refused(make_config: Make, world: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        def renamed(names: Sequence[str]) -> tuple[str, ...]:
            return tuple("unicorn" if name == "lion" else name for name in names)

        manifest = read_manifest(folder)
        models = read_shard(folder, manifest.config, 0)
        write_manifest(folder, manifest.values | {"class_names": renamed(manifest.class_names)})
        write_shard(folder, 0, [(replace(entry, classes=renamed(entry.classes)), flat) for entry, flat in models])
        write_index(folder, manifest.config)

    with pytest.raises(DataError, match="'unicorn'"):
        build_components(make_config(zoo=changed_zoo(world, tmp_path, change)), CPU)


def test_wrong_names_are_config_errors(make_config: Make) -> None:
    with pytest.raises(ConfigError, match="held_out_classes names 'bat'"):
        build_components(make_config(held_out_classes="bat"), CPU)
    with pytest.raises(ConfigError, match="Unknown tokenizer 'class-rows'"):
        build_components(make_config(tokenizer="class-rows"), CPU)


def make_classes(world: Path) -> list[str]:
    names: list[str] = json.loads((world / "zoo" / "zoo.json").read_text())["class_names"]
    return names


def test_a_run_may_start_from_a_generator(make_config: Make, tmp_path: Path) -> None:
    first = Trainer(make_config(max_steps=3, learning_rate=0.01))
    folder = first.train().generator
    start = Generator.from_pretrained(folder, device="cpu")
    # Another seed and other p-Models: the weights, and what they mean, come from the generator all the same.
    components = build_components(make_config(init_from=str(folder), seed=5, output_dir=tmp_path / "second"), CPU)
    for name, tensor in start.denoiser.state_dict().items():
        assert torch.equal(components.denoiser.state_dict()[name], tensor)
    assert torch.equal(components.context.normalizer.base_flat(4), start.normalizer.base_flat(4))
    assert torch.equal(components.context.conditions.space.mean, start.condition_space.mean)
    assert "start" in components.fingerprints


def test_a_generator_of_other_settings_is_refused(make_config: Make, tmp_path: Path) -> None:
    folder = Trainer(make_config(max_steps=1)).train().generator
    with pytest.raises(ConfigError, match="differs from the settings in hidden_size, beta_end"):
        build_components(
            make_config(init_from=str(folder), hidden_size=32, beta_end=0.03, output_dir=tmp_path / "b"), CPU
        )
    flow = make_config(init_from=str(folder), scheduler="flow-match-euler", output_dir=tmp_path / "c")
    with pytest.raises(ConfigError, match="differs from the settings in scheduler"):
        build_components(flow, CPU)


def test_a_run_that_starts_from_an_open_vocabulary_keeps_it(make_config: Make, tmp_path: Path) -> None:
    settings = {"kernel_ridge": 0.1, "open_vocabulary": True, "encoders": make_config().encoders[0]}
    folder = Trainer(make_config(max_steps=2, **settings)).train().generator
    start = Generator.from_pretrained(folder, device="cpu")
    assert start.config.open_vocabulary
    held_out = start.config.class_names[-1]
    # The landmarks remain the classes of the start, also if the run sees fewer of them.
    again = make_config(
        max_steps=1, init_from=str(folder), validation_classes=held_out, output_dir=tmp_path / "second", **settings
    )
    second = Generator.from_pretrained(Trainer(again).train().generator, device="cpu")
    assert second.config.open_vocabulary
    assert second.config.class_names == start.config.class_names
    other = make_config(init_from=str(folder), beta_end=0.03, output_dir=tmp_path / "third", **settings)
    with pytest.raises(ConfigError, match="differs from the settings in beta_end"):
        build_components(other, CPU)
    with pytest.raises(ConfigError, match="differs from the settings in input_floor"):
        build_components(make_config(init_from=str(folder), input_floor=1, **settings), CPU)


def test_validation_classes_are_left_alone(make_config: Make) -> None:
    whole = build_components(make_config(), CPU).seen_classes
    components = build_components(make_config(validation_classes=whole[2]), CPU)
    assert components.seen_classes == tuple(name for name in whole if name != whole[2])
    with pytest.raises(ConfigError, match="validation_classes names 'nothing'"):
        build_components(make_config(validation_classes="nothing"), CPU)


def test_the_first_models_of_a_zoo_alone(make_config: Make) -> None:
    def learnt(number: int | None) -> list[tuple[str, ...]]:
        (objective,) = [
            o for o in build_components(make_config(zoo_models=number), CPU).objectives if o.name == "denoise"
        ]
        return list(objective.classes)  # type: ignore[attr-defined]

    everything = learnt(None)
    assert learnt(2) == everything[:2]
    with pytest.raises(ConfigError, match=f"zoo_models is 999, .* holds {len(everything)} p-Models"):
        learnt(999)


def test_whitening_starts_at_the_generic_model_too(make_config: Callable[..., TrainingConfig]) -> None:
    """The ridge regression is fitted to whitened rows, so the first prediction is the same network."""
    made = [
        build_components(make_config(whitening=damping, ridge=1e-6), torch.device("cpu")) for damping in (None, 0.1)
    ]
    names = made[0].seen_classes[:3]
    flats = []
    for components in made:
        context = components.context
        condition = context.pad_conditions([context.conditions.of(names)])
        mask = context.class_mask(torch.tensor([3]))
        tokens = torch.zeros(1, context.layout.num_tokens, context.layout.token_width)
        last = torch.tensor([context.config.num_train_timesteps - 1])
        predicted = components.denoiser.eval()(condition, mask, tokens, last, context.layout)
        flat = context.normalizer.denormalize(context.layout.scatter(predicted), context.config.max_classes)
        flats.append(components.spec.narrow(flat, context.config.max_classes, 3))
    torch.testing.assert_close(flats[0], flats[1], atol=2e-3, rtol=2e-3)


def test_a_start_keeps_its_coordinates_and_a_setting_must_not_contradict_them(
    make_config: Make, tmp_path: Path
) -> None:
    plain = Trainer(make_config(max_steps=1, output_dir=tmp_path / "plain")).train().generator
    whitened = Trainer(make_config(max_steps=1, whitening=0.1, output_dir=tmp_path / "whitened")).train().generator
    for folder, changes in ((plain, {}), (plain, {"whitening": None}), (whitened, {}), (whitened, {"whitening": 0.3})):
        components = build_components(make_config(init_from=folder, **changes), CPU)
        assert (components.context.normalizer.whitening is None) == (folder == plain)
    with pytest.raises(ConfigError, match=r"whitening is 0\.3, but the generator '.*' has plain coordinates"):
        build_components(make_config(init_from=plain, whitening=0.3), CPU)
    with pytest.raises(ConfigError, match=r"whitening is none, but the generator '.*' has whitened coordinates"):
        build_components(make_config(init_from=whitened, whitening=None), CPU)


def test_a_network_without_a_layer_that_can_be_whitened_is_refused(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tina_framework.training.kronecker.MOST_COLUMNS", 1)
    with pytest.raises(ConfigError, match="No layer of 'cnn-2layer' can be whitened"):
        build_components(make_config(whitening=0.1), CPU)


def test_a_shift_as_large_as_the_pictures_is_refused(make_config: Make) -> None:
    build_components(make_config(image_shift=31), CPU)
    with pytest.raises(ConfigError, match=r"image_shift is 32, but the pictures of 'cnn-2layer' have 32 x 32 pixels"):
        build_components(make_config(image_shift=32), CPU)


def test_a_teacher_that_knows_a_validation_class_is_refused(make_config: Make, teacher_file: Path) -> None:
    assert load_images(make_config(teacher=teacher_file), CPU).taught_by == "a test"
    with pytest.raises(LeakageError, match="The teacher was trained on 'cat', which training must not see"):
        load_images(make_config(teacher=teacher_file, validation_classes="cat"), CPU)
