#!/usr/bin/env bash
# Measure the tables of the plugins' architectures in docs/reference/results.md.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/reproduce/plugins.sh
# Needs the plugins (make test-plugins installs them) and the zoos and generators that the plugins' READMEs build:
# work/cnn3-zoo, work/cnn3, work/resnet20-zoo, work/resnet20-head.
# Each table gets a folder outputs/plugins/NAME with results.json, results.md and tasks.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
table=embedding-table:${TABLE:?set TABLE to the .npz of CLIP text vectors}
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
tina=${TINA:-.venv/plugins/bin/python -m tina_framework.cli}
out=${OUT:-outputs/plugins}

run() { # NAME MODEL ZOO TASKS METHODS ENCODER [OPTION...]
    local name=$1 model=$2 zoo=$3 tasks=$4 methods=$5 encoder=$6
    shift 6
    echo "== $name"
    rm -rf "${out:?}/$name"
    # Without quotes, because $tina is a command with its first arguments.
    $tina evaluate --model "$model" --zoo "$zoo" --dataset "$data" --tasks "examples/cifar100/$tasks.json" \
        --methods "$methods" --encoder "$encoder" --out "$out/$name" "$@"
}

for folder in ${FOLDERS:-cnn3/generator resnet20-head/best}; do
    name=${folder%%/*}
    model=work/$folder
    zoo=work/${name%-head}-zoo
    run "$name-10" "$model" "$zoo" tasks-10 tina,common,random-prompt,generic,selection,average,nearest "$table"
    run "$name-5" "$model" "$zoo" tasks-5 tina,selection "$table"
    run "$name-lite" "$model" "$zoo" tasks-10 tina,selection clip-lite
    run "$name-steps" "$model" "$zoo" tasks-10 tina@1,tina@2,tina@4,tina@20,selection "$table"
    run "$name-fine-tune" "$model" "$zoo" tasks-10 tina,selection,fine-tune "$table" --fine-tune-tasks 20
done
