"""Train the image tower of clip-lite on a data set's training images, for a folder that already has a text tower.

    python examples/clip-lite/train_image.py --data cifar100.npz --out DIR

The targets are the text vectors of the classes. The loss is the cross-entropy of a softmax over the cosines with all
classes, plus a weighted one minus the cosine with the right class. After a stop, the same command continues after the
last complete epoch and ends with the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import tomllib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from vocabulary import sha256_of

from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.builtins.encoders.clip_lite import IMAGE_WEIGHTS, CLIPLite
from tina_framework.builtins.encoders.clip_lite_image import ImageTower, standardise
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.storage.files import read_json, read_metadata, read_safetensors, write_json, write_safetensors
from tina_framework.zoo.subset import without_classes

WIDTHS = (48, 96, 192)
BATCH = 128
LEARNING_RATE = 0.2
WEIGHT_DECAY = 5e-4
SHARPNESS = 12.0  # factor on the cosines before the softmax
SMOOTHING = 0.1
COSINE_WEIGHT = 0.5


def rate(progress: float) -> float:
    """Return the learning rate at `progress` in [0, 1]: up linearly in the first fifth, then down to zero."""
    return LEARNING_RATE * (progress / 0.2 if progress < 0.2 else (1.0 - progress) / 0.8)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each picture (N, 3, 32, 32) at random and move it by up to four pixels."""
    flips = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flips.view(-1, 1, 1, 1), images.flip(3), images)
    padded = F.pad(images, (4, 4, 4, 4), mode="reflect")
    moves = torch.randint(0, 9, (2, len(images), 1), generator=generator) + torch.arange(32)
    batch = torch.arange(len(images)).view(-1, 1, 1)
    return padded[batch, :, moves[0].unsqueeze(2), moves[1].unsqueeze(1)].permute(0, 3, 1, 2)


def loss_of(directions: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of directions (N, E) for labels (N,) and unit targets (K, E)."""
    similarities = directions @ targets.T
    own = similarities.gather(1, labels[:, None]).mean()
    return F.cross_entropy(SHARPNESS * similarities, labels, label_smoothing=SMOOTHING) + COSINE_WEIGHT * (1.0 - own)


@torch.inference_mode()
def accuracy(tower: ImageTower, data: LabelledImages, targets: Tensor) -> float:
    """Return how often the class whose text vector is nearest in direction is the right one."""
    tower.eval()
    right = 0
    for start in range(0, len(data), 500):
        directions = tower(standardise(data.images[start : start + 500]))
        right += int(((directions @ targets.T).argmax(1).numpy() == data.labels[start : start + 500]).sum())
    return right / len(data)


class Run:
    """The state of a training run, saved after every epoch."""

    def __init__(self, folder: Path, dim: int, seed: int, epochs: int) -> None:
        torch.manual_seed(seed)
        self.tower = ImageTower(WIDTHS, dim)
        self.optimizer = torch.optim.SGD(
            self.tower.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
        )
        self.settings = {"seed": seed, "epochs": epochs}
        self.epoch, self.cpu_seconds = 0, 0.0
        self._path = folder / "image.resume.safetensors"
        if self._path.exists():
            self._load()

    def _load(self) -> None:
        state = json.loads(read_metadata(self._path)["state"])
        if state["settings"] != self.settings:
            raise SystemExit(
                f"'{self._path}' belongs to a run with {state['settings']}; remove it or use the same settings."
            )
        tensors = read_safetensors(self._path)
        self.tower.load_state_dict({n: tensors[f"tower.{n}"] for n in self.tower.state_dict()})
        for name, parameter in self.tower.named_parameters():
            self.optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{name}"]
        self.epoch, self.cpu_seconds = state["epoch"], state["cpu_seconds"]

    def save(self) -> None:
        tensors = {f"tower.{name}": tensor for name, tensor in self.tower.state_dict().items()}
        for name, parameter in self.tower.named_parameters():
            tensors[f"momentum.{name}"] = self.optimizer.state[parameter]["momentum_buffer"]
        state = {"settings": self.settings, "epoch": self.epoch, "cpu_seconds": self.cpu_seconds}
        write_safetensors(self._path, tensors, {"state": json.dumps(state)})

    def finish(self) -> None:
        self._path.unlink(missing_ok=True)


def train_epoch(run: Run, data: LabelledImages, targets: Tensor, seed: int) -> float:
    """Train one epoch and return the mean loss. Order and augmentation depend on seed and epoch only."""
    generator = torch.Generator().manual_seed(seed * 1000 + run.epoch)
    order = torch.randperm(len(data), generator=generator)
    steps = len(data) // BATCH
    total = 0.0
    run.tower.train()
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH].numpy()
        images = augmented(standardise(data.images[rows]), generator)
        labels = torch.from_numpy(data.labels[rows])
        for group in run.optimizer.param_groups:
            group["lr"] = rate((run.epoch + step / steps) / run.settings["epochs"])
        with torch.autocast("cpu", torch.bfloat16):
            directions = run.tower(images)
        loss = loss_of(directions, labels, targets)
        if not bool(loss.isfinite()):
            raise SystemExit(
                f"The loss is {loss.item()} in epoch {run.epoch + 1}, step {step + 1}; nothing was written."
            )
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        total += loss.item()
    return total / steps


def write(run: Run, out: Path, length: float, section: dict[str, Any]) -> None:
    """Write the tower: weights in half precision, statistics of batch normalisation in single precision."""
    tensors = {n: t.half() if t.dim() > 1 else t for n, t in run.tower.state_dict().items()}
    path = out / IMAGE_WEIGHTS
    write_safetensors(path, tensors)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    section = {"sha256": digest, "widths": list(WIDTHS), "length": round(length, 4)} | section
    write_json(out / "config.json", read_json(out / "config.json") | {"image": section})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=".npz with images, labels and class names")
    parser.add_argument("--out", type=Path, required=True, help="folder that train_text.py wrote to")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--zoo-config", type=Path, help="recipe of a zoo (TOML); its held_out_classes are not trained on"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    held_out = [] if options.zoo_config is None else tomllib.loads(options.zoo_config.read_text())["held_out_classes"]
    dataset = without_classes(arrays(options.data), held_out)
    training, validation = dataset.load("train"), dataset.load("validation")
    encoder = CLIPLite(options.out)
    mean = torch.from_numpy(encoder.mean)
    shifts = torch.from_numpy(encoder.encode_text(dataset.class_names)) - mean
    targets = F.normalize(shifts, dim=1)

    run = Run(options.out, encoder.dim, options.seed, options.epochs)
    while run.epoch < options.epochs:
        started, busy = time.perf_counter(), time.process_time()
        loss = train_epoch(run, training, targets, options.seed)
        run.epoch += 1
        run.cpu_seconds += time.process_time() - busy
        run.save()
        left = (time.perf_counter() - started) * (options.epochs - run.epoch)
        print(f"epoch {run.epoch}/{options.epochs}  loss {loss:.3f}  ETA {left / 60:.1f} min", flush=True)

    command = (
        f"python examples/clip-lite/train_image.py --data {options.data.name} --out DIR "
        f"--epochs {options.epochs} --seed {options.seed} --threads {options.threads}"
        + (f" --zoo-config {options.zoo_config}" if held_out else "")
    )
    section = {
        "figures": {
            "classes": len(dataset.class_names),
            "validation_accuracy": round(accuracy(run.tower, validation, targets), 4),
            "train_images": len(training),
            "cpu_seconds": round(run.cpu_seconds),
            "parameters": sum(p.numel() for p in run.tower.parameters()),
        },
        **({"held_out_classes": held_out} if held_out else {}),
        "recipe": {"command": command, "seed": options.seed, "data_sha256": sha256_of([options.data])},
    }
    write(run, options.out, float(shifts.norm(dim=1).mean()), section)
    run.finish()
    print(json.dumps(section["figures"]))


if __name__ == "__main__":
    main()
