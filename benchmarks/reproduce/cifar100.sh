#!/usr/bin/env bash
# Measure the tables of cifar100-cnn in docs/reference/results.md.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/reproduce/cifar100.sh [MODEL]
# With TEACHER=teacher.safetensors (from tina train-teacher), fine-tuning learns from the teacher, and the tables are those of
# cifar100-cnn-taught. Their names begin with "taught-".
# Each table gets a folder outputs/results/NAME with results.json, results.md and tasks.json.
# ONLY="steps ddpm" measures these tables alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
prefix=${TEACHER:+taught-}
model=${1:-tina_framework/pretrained/cifar100-cnn${TEACHER:+-taught}}
table=embedding-table:${TABLE:?set TABLE to the .npz of CLIP text vectors}
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
tina=${TINA:-.venv/bin/tina}
out=${OUT:-outputs/results}

run() { # NAME TASKS METHODS ENCODER [OPTION...]
    local name=$prefix$1 tasks=$2 methods=$3 encoder=$4
    if [ -n "${ONLY:-}" ] && [[ " $ONLY " != *" $1 "* ]]; then return; fi
    shift 4
    echo "== $name"
    rm -rf "${out:?}/$name"
    "$tina" evaluate --model "$model" --dataset "$data" --tasks "examples/cifar100/$tasks.json" \
        --methods "$methods" --encoder "$encoder" --out "$out/$name" "$@"
}

# The best settings of `python -m benchmarks.taper` and `python -m benchmarks.choose.fine_tuning_baseline` on validation tasks.
taper=${TAPER:-work/${prefix}taper/best}
long=${LONG:-fine-tune@long:lr=0.2${TEACHER:+:teacher_weight=0.5}}
short=fine-tune${TEACHER:+@short:teacher_weight=0.5}

run table-10 tasks-10 "tina,common,random-prompt,chance,generic,selection,average,nearest,noise,ridge,ridge@0.01,taper@$taper" "$table" --record
for k in 5 3; do
    run "table-$k" "tasks-$k" tina,common,random-prompt,generic,selection,average,nearest "$table" --record --no-novelty
done
for k in 10 5 3; do
    run "lite-$k" "tasks-$k" tina,selection clip-lite --record --no-novelty
done
for split in ten two; do
    run "table-$split-superclasses" "tasks-$split-superclasses" tina,common,generic,selection,average,nearest "$table" --no-novelty
done
run table-seen tasks-seen tina,selection,p-model "$table" --no-novelty
run steps tasks-10 tina@1,tina@2,tina@4,tina@20,tina@50,selection "$table" --no-novelty
run ddpm tasks-10 tina,tina@ddpm:1000,selection "$table" --no-novelty
run fine-tune tasks-10 "tina,selection,$short,$long" "$table" --fine-tune-tasks 60 --no-novelty ${TEACHER:+--teacher "$TEACHER"}
