#!/usr/bin/env bash
# Measure the tables of cifar80-cnn in docs/experiments/unseen-classes.md.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/reproduce/cifar80.sh [MODEL]
# Each table gets a folder outputs/results80/NAME with results.json, results.md and tasks.json.
# ONLY="unseen-classes lite-unseen-classes" measures these tables alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
model=${1:-plugins/tina-cifar80/tina_cifar80/pretrained/cifar80-cnn}
table=embedding-table:${TABLE:?set TABLE to the .npz of CLIP text vectors}
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
tina=${TINA:-.venv/bin/tina}
out=${OUT:-outputs/results80}

run() { # NAME TASKS METHODS ENCODER [OPTION...]
    local name=$1 tasks=$2 methods=$3 encoder=$4
    shift 4
    if [ -n "${ONLY:-}" ] && [[ " $ONLY " != *" $name "* ]]; then return; fi
    echo "== $name"
    rm -rf "${out:?}/$name"
    "$tina" evaluate --model "$model" --dataset "$data" --tasks "examples/cifar80/$tasks.json" \
        --methods "$methods" --encoder "$encoder" --out "$out/$name" --no-novelty "$@"
}

for split in unseen-classes two-unseen-classes; do
    run "$split" "tasks-$split" tina,substitute,ridge,random-prompt "$table" --record
    run "lite-$split" "tasks-$split" tina,substitute clip-lite --record
done
run unseen-combination tasks-unseen-combination tina,common,selection,substitute,average,nearest "$table" --record
run lite-unseen-combination tasks-unseen-combination tina,selection clip-lite --record
