#!/usr/bin/env bash
# Train the recipe of cifar100-cnn, and a regressor in its place, with three seeds each. Measure them on the 200 reserved tasks.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/reproduce/seeds.sh
#   python -m benchmarks.reproduce.seed_table
# A training takes 40 to 50 minutes in one thread. One that was cut goes on when the command is repeated; a finished one is kept.
# ONLY="tina-1 regressor-0" trains and measures these alone, so that several commands can share the work.
set -euo pipefail
cd "$(dirname "$0")/../.."
table=embedding-table:${TABLE:?set TABLE to the .npz of CLIP text vectors}
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
tina=${TINA:-.venv/bin/tina}
work=${WORK:-work/seeds}
out=${OUT:-outputs/seeds}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# The regressor has the same network, batch and pictures. It starts from zeros instead of noise, and has one step.
regressor=(--regression true --denoise_weight 0 --num_inference_steps 1 --rollout_probability 0)

for seed in 0 1 2; do
    for kind in tina regressor; do
        name=$kind-$seed
        if [ -n "${ONLY:-}" ] && [[ " $ONLY " != *" $name "* ]]; then continue; fi
        options=(--seed "$seed")
        if [ "$kind" = regressor ]; then options+=("${regressor[@]}"); fi
        if [ -d "$work/$name/checkpoints" ]; then options+=(--resume_from_checkpoint latest); fi
        if [ ! -d "$work/$name/generator" ]; then
            "$tina" train --config examples/cifar100/train.toml --output_dir "$work/$name" --dataset "$data" \
                --zoo tina_framework/pretrained/cifar100-zoo --encoders "$table" "${options[@]}"
        fi
        "$tina" evaluate --model "$work/$name/generator" --dataset "$data" --tasks examples/cifar100/tasks-10.json \
            --methods tina,common,selection --encoder "$table" --out "$out/$name" --no-novelty
    done
done
