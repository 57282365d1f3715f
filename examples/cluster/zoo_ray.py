"""Build a zoo with Ray: a task for the generic model, one for each shard, and one for the index.

    python zoo_ray.py --out /shared/zoo --dataset arrays:/shared/cifar100.npz --config /shared/zoo.toml

Ray repeats a task whose process or node died. The repeated task continues where the first one was stopped.
"""

import argparse
from pathlib import Path

import ray

from tina_framework.errors import TrainingError
from tina_framework.zoo.build_plan import BuildPlan, plan_by_names
from tina_framework.zoo.recipe import read_recipe
from tina_framework.zoo.stages import build_generic, build_index, build_models

# A wrong recipe and other mistakes of the user are not repeated: they would fail again.
repeated = ray.remote(max_retries=3, retry_exceptions=[TrainingError, OSError])


def plan(given: argparse.Namespace) -> BuildPlan:
    return plan_by_names(given.out, given.dataset, read_recipe(given.config, {}), device=given.device)


@repeated
def generic(given: argparse.Namespace) -> int:
    planned = plan(given)
    build_generic(planned)
    return planned.config.num_shards


@repeated
def models(given: argparse.Namespace, shard: int) -> int:
    return build_models(plan(given), [shard])


@repeated
def index(given: argparse.Namespace) -> int:
    return build_index(plan(given))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True, help="folder that all nodes share")
    parser.add_argument("--dataset", required=True, help="as for tina zoo build; the same path on all nodes")
    parser.add_argument("--config", type=Path, help="recipe (TOML)")
    parser.add_argument("--address", help="a running cluster, e.g. auto; without it, Ray starts on this machine")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; a task on cuda takes one GPU")
    given = parser.parse_args()
    given.out = given.out.resolve()  # Ray's workers may run in another folder
    given.config = given.config and given.config.resolve()
    ray.init(address=given.address)
    needs = {"num_gpus": 1} if given.device == "cuda" else {}
    shards = ray.get(generic.options(**needs).remote(given))
    ray.get([models.options(**needs).remote(given, shard) for shard in range(shards)])
    print(f"The zoo {given.out} holds {ray.get(index.remote(given))} p-Models in {shards} shards.")
