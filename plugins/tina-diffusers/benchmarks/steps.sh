#!/usr/bin/env bash
# Accuracy against the number of steps, as in this plugin's README: DATA=cifar100.npz bash benchmarks/steps.sh [MODEL]
# Writes results.json, results.md and tasks.json into $OUT (default: outputs/steps), and prints two tables.
# 40 tasks of the validation partition, drawn with seed 0; validation images. No test image is looked at.
set -euo pipefail
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
tina=${TINA:-tina}
out=${OUT:-outputs/steps}

methods=selection
for scheduler in ddim dpmsolver-multistep dpmsolver-singlestep unipc deis euler flow-match-euler-vp \
    dpmsolver-multistep-sde sa-solver euler-ancestral; do
    for steps in 1 2 4 8 16; do
        methods+=",tina@$scheduler:$steps"
    done
done

mkdir -p "$(dirname "$out")"
"$tina" zoo tasks "$out-tasks.json" --dataset "$data" --split validation --classes 10 --num-tasks 40 --seed 0
"$tina" evaluate --model "${1:-cifar100-cnn}" --dataset "$data" --tasks "$out-tasks.json" --split validation \
    --methods "$methods" --encoder clip-lite --seed 0 --device cpu --out "$out"
"${PYTHON:-python3}" "$(dirname "$0")/steps.py" "$out"
