#!/usr/bin/env bash
# Train a full-size preset for one step (bf16 autocast, Adafactor), then generate a model in two sampling steps.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/reproduce/full_size.sh [tina-published|tina] [STEPS]
# Prints wall time and peak memory; needs GNU time. A GPU is used if there is one.
# `tina-published` takes 11.4 GB of memory and 2.5 GB of disk (docs/experiments/training.md). `tina` is about twice as large.
set -euo pipefail
cd "$(dirname "$0")/../.."
preset=${1:-tina-published}
steps=${2:-1}
tina=${TINA:-.venv/bin/tina}
out=${OUT:-work/full-size-$preset}
tokenizer=class-row
if [ "$preset" = tina-published ]; then tokenizer=chunk; fi
rm -rf "$out"
measured() { /usr/bin/time -f "%e s, %M KB at most" "$@"; }
measured "$tina" train --output_dir "$out" --preset "$preset" --tokenizer "$tokenizer" --optim adafactor --mixed_precision bf16 \
    --dataset "arrays:${DATA:?set DATA}" --zoo tina_framework/pretrained/cifar100-zoo --encoders "embedding-table:${TABLE:?set TABLE}" \
    --max_steps "$steps" --lr_warmup_steps 0 --learning_rate 1e-3 --task_batch_size 2 --images_per_task 50 --denoise_batch_size 2 \
    --num_validation_tasks 0 --checkpointing_steps none --validation_steps none
measured "$tina" generate apple bear bicycle --model "$out/generator" --encoder "embedding-table:$TABLE" --steps 2 --out "$out/classifier"
