"""The four hypernetworks that are trained through the task loss: shapes, symmetries, and what they read."""

import importlib

import pytest
import torch

from tina_framework import registries
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_peers.catalogue import PEERS, peer_class
from tina_peers.differences import Differences
from tina_peers.equivariant import T2MHN, EquivariantSettings
from tina_peers.five_pictures import FivePictures, FivePicturesSettings
from tina_peers.ghn_decoder import GHNDecoder, GHNSettings, TileDecoder
from tina_peers.inputs import TaskInputs
from tina_peers.peer import Peer
from tina_peers.per_layer import LowRankHead, PerLayer, PerLayerSettings

WIDTH = 12
CLASSES = 4
SMALL = [
    (T2MHN, EquivariantSettings(hidden=16, depth=2)),
    (PerLayer, PerLayerSettings(hidden=16, depth=1, rank=2)),
    (GHNDecoder, GHNSettings(hidden=16, channels=8)),
    (FivePictures, FivePicturesSettings(hidden=16, depth=2)),
]


@pytest.fixture(scope="module")
def spec() -> ParameterSpec:
    return ParameterSpec(registries().architectures.create("cnn-2layer"))


def made(spec: ParameterSpec, kind: type[Peer], settings) -> Peer:
    """Return a peer with random weights, also where training starts from zeros."""
    torch.manual_seed(0)
    differences = Differences(spec, WIDTH)
    differences.base_S.copy_(0.1 * torch.randn(differences.shared))
    differences.row_map_ER.normal_()  # so that text changes the base rows
    peer = kind(settings, differences, ConditionSpace("test", torch.zeros(WIDTH), 1.0)).eval()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return peer


def inputs(seed: int = 0, tasks: int = 2) -> TaskInputs:
    rng = torch.Generator().manual_seed(seed)
    names = [tuple(f"class {k}" for k in range(CLASSES))] * tasks
    return TaskInputs(
        names,
        torch.randn(tasks, CLASSES, WIDTH, generator=rng),
        [torch.Generator().manual_seed(task) for task in range(tasks)],
        torch.rand(tasks, CLASSES, 5, 3, 32, 32, generator=rng),
    )


def reordered(given: TaskInputs, order: list[int]) -> TaskInputs:
    assert given.pictures is not None
    names = [tuple(classes[k] for k in order) for classes in given.classes]
    return TaskInputs(names, given.conditions[:, order], given.draws, given.pictures[:, order])


@pytest.mark.parametrize(("kind", "settings"), SMALL, ids=lambda value: getattr(value, "name", ""))
class TestEveryHypernetwork:
    def test_it_starts_from_the_base_network(self, spec, kind, settings):
        peer = kind(settings, Differences(spec, WIDTH), ConditionSpace("test", torch.zeros(WIDTH), 1.0)).eval()
        shared, rows = peer.generate(inputs())
        assert shared.shape == (2, 432 + 4608)
        assert rows.shape == (2, CLASSES, 33)
        assert not shared.any()
        assert not rows.any()

    def test_classes_in_another_order_give_the_same_network_with_rows_in_that_order(self, spec, kind, settings):
        peer, given, order = made(spec, kind, settings), inputs(), [2, 0, 3, 1]
        shared, rows = peer.generate(given)
        other_shared, other_rows = peer.generate(reordered(given, order))
        torch.testing.assert_close(other_shared, shared, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(other_rows, rows[:, order], rtol=1e-4, atol=1e-5)
        assert rows.std(dim=1).min() > 0  # the classes do have different rows

    def test_a_task_alone_gets_the_network_that_it_gets_in_a_batch(self, spec, kind, settings):
        peer, given = made(spec, kind, settings), inputs()
        assert given.pictures is not None
        alone = TaskInputs(given.classes[1:], given.conditions[1:], given.draws[1:], given.pictures[1:])
        torch.testing.assert_close(peer.networks(alone)[0], peer.networks(given)[1], rtol=1e-4, atol=1e-5)

    def test_the_other_classes_change_all_tensors(self, spec, kind, settings):
        peer, given, other = made(spec, kind, settings), inputs(), inputs(seed=1)
        assert given.pictures is not None
        assert other.pictures is not None
        changed = TaskInputs(
            given.classes,
            torch.cat([given.conditions[:, :1], other.conditions[:, 1:]], dim=1),
            given.draws,
            torch.cat([given.pictures[:, :1], other.pictures[:, 1:]], dim=1),
        )
        shared, rows = peer.generate(given)
        other_shared, other_rows = peer.generate(changed)
        for before, after in zip(shared.split([432, 4608], 1), other_shared.split([432, 4608], 1), strict=True):
            assert not torch.allclose(before, after)
        assert not torch.allclose(rows[:, 0], other_rows[:, 0])

    def test_gradients_reach_every_parameter(self, spec, kind, settings):
        peer = made(spec, kind, settings)
        rng = torch.Generator().manual_seed(1)
        networks = peer.networks(inputs())
        (networks * torch.randn(networks.shape, generator=rng)).sum().backward()
        assert [name for name, parameter in peer.named_parameters() if not parameter.grad.any()] == []

    def test_a_saved_folder_gives_the_same_networks(self, spec, kind, settings, tmp_path):
        peer = made(spec, kind, settings)
        peer.round()
        peer.save(tmp_path / "peer")
        assert peer_class(kind.name) is kind
        assert torch.equal(peer.load(tmp_path / "peer", spec).networks(inputs()), peer.networks(inputs()))

    def test_it_says_what_runs_and_where_it_is_from(self, spec, kind, settings):
        assert "width 16" in made(spec, kind, settings).describe()
        module, _, name = PEERS[kind.name].target.partition(":")
        method = getattr(importlib.import_module(module), f"{name}Method")
        assert (method.peer_class, method.name) == (kind, kind.name)
        assert "arXiv" in method.paper
        assert method.differs


class TestLowRankHead:
    def test_the_difference_has_the_rank_that_was_asked_for(self):
        torch.manual_seed(0)
        head = LowRankHead(6, (16, 3, 3, 3), rank=2)
        torch.nn.init.normal_(head.left.weight)
        assert torch.linalg.matrix_rank(head(torch.randn(1, 6)).view(16, 27)) == 2

    @pytest.mark.parametrize("shape", [(5,), (2, 3)])
    def test_a_small_tensor_is_written_in_full(self, shape):
        head = LowRankHead(6, shape, rank=2)
        assert head.right is None
        assert head(torch.zeros(3, 6)).shape == (3, torch.Size(shape).numel())


class TestTileDecoder:
    def test_a_smaller_tensor_is_cut_from_the_tile_of_the_same_node(self):
        torch.manual_seed(0)
        decoder = TileDecoder([(4, 3, 3, 3), (2, 5, 1, 1)], GHNSettings(hidden=8, channels=4))
        torch.nn.init.normal_(decoder.outer.weight)
        node = torch.randn(1, 8)
        whole = decoder(node, (4, 5, 3, 3)).view(4, 5, 3, 3)
        cut = decoder(node, (2, 5, 1, 1)).view(2, 5)
        torch.testing.assert_close(cut, whole[:2, :, 1, 1])


class TestFivePictures:
    @pytest.mark.parametrize("text_rows", [False, True])
    def test_text_changes_the_base_rows_or_nothing(self, spec, text_rows):
        peer, given = made(spec, FivePictures, FivePicturesSettings(hidden=16, depth=2, text_rows=text_rows)), inputs()
        other = TaskInputs(given.classes, torch.randn_like(given.conditions), given.draws, given.pictures)
        shared, rows = peer.differences.split(peer.networks(given), CLASSES)
        other_shared, other_rows = peer.differences.split(peer.networks(other), CLASSES)
        assert torch.equal(shared, other_shared)
        assert torch.equal(rows, other_rows) is not text_rows
        assert ("no text" in peer.describe()) is not text_rows

    def test_the_order_of_the_pictures_has_no_effect(self, spec):
        peer, given = made(spec, *SMALL[-1]), inputs()
        assert given.pictures is not None
        turned = TaskInputs(given.classes, given.conditions, given.draws, given.pictures.flip(2))
        torch.testing.assert_close(peer.networks(turned), peer.networks(given), rtol=1e-4, atol=1e-5)

    def test_features_are_what_the_last_layer_of_the_generic_model_reads(self, spec):
        peer, pictures = made(spec, *SMALL[-1]), torch.rand(3, 3, 32, 32)
        assert isinstance(peer, FivePictures)
        flat = torch.randn(spec.num_parameters(2))
        network = spec.architecture.build(2)
        network.load_state_dict(spec.unflatten(flat, 2))
        features = peer.features.of(flat, pictures)
        assert features.shape == (3, peer.features.width) == (3, 32)
        torch.testing.assert_close(network.fc(features), network(pictures))

    def test_training_standardises_the_prototypes(self, spec):
        peer = made(spec, *SMALL[-1])
        assert isinstance(peer, FivePictures)
        given = inputs(tasks=8)
        peer.train().prototypes(given.pictures)
        seen = peer.eval().prototypes(given.pictures).flatten(0, 1)
        torch.testing.assert_close(seen.mean(0), torch.zeros(32), rtol=0, atol=1e-2)
