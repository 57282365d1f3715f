#!/usr/bin/env bash
# Train the ten-minute recipe with and without the pooled forecast, in two CPU processes each.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/choose/forecast.sh [with|without ...]
# The validation curves are in outputs/forecast/*/log.jsonl.
set -euo pipefail
cd "$(dirname "$0")/../.."
table=embedding-table:${TABLE:?set TABLE to the .npz of CLIP text vectors}
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
bin=${BIN:-.venv/bin}
export CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1

[ $# -gt 0 ] || set -- with without
for variant; do
    extra=()
    [ "$variant" = with ] || extra=(--pool_rank 0)
    "$bin/accelerate" launch --multi_gpu --num_machines 1 --num_processes 2 --mixed_precision no --dynamo_backend no \
        -m tina_framework.training --config examples/cifar100/ten-minutes.toml --output_dir "outputs/forecast/$variant" \
        --dataset "$data" --zoo tina_framework/pretrained/cifar100-zoo --encoders "$table" "${extra[@]}"
done
