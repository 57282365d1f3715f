#!/usr/bin/env bash
# Train the generator cifar100-many, and a generator for each of its five networks alone with as many steps on that network. Measure
# all of them on the 200 reserved tasks, beside selection and fine-tuning.
#   DATA=cifar100.npz TABLE=cifar100_clip_text.npz bash benchmarks/reproduce/many.sh
#   python -m benchmarks.reproduce.many_table outputs/many
# The zoos take an hour in one thread, cifar100-many up to two, and the others together as long. A training that was cut goes on when
# the command is repeated; a finished one is kept.
# The part "five-layer" is about an architecture that cifar100-many never saw: without training, with 200 steps, and 200 steps alone.
# The part "record" writes the accuracy with ten, five and three classes and both encoders into the generator's folder, by default that
# of the training. It needs no zoo: MODEL=cifar100-many ONLY=record measures the bundled one, and writes into its folder.
# ONLY="zoos many cnn-2layer@2 five-layer evaluate alone record" does these parts alone, so that several commands can share the work.
set -euo pipefail
cd "$(dirname "$0")/../.."
table=embedding-table:${TABLE:?set TABLE to the .npz of CLIP text vectors}
data=arrays:${DATA:?set DATA to the .npz of CIFAR-100}
tina=${TINA:-.venv/bin/tina}
work=${WORK:-work/many}
out=${OUT:-outputs/many}
tasks=${TASKS:-examples/cifar100/tasks-10.json}
steps=${STEPS:-9000}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

trained="cnn-2layer@0.5 cnn-2layer cnn-2layer@1.5 cnn-2layer@2 cnn-3layer"
never="cnn-2layer@0.75 cnn-2layer@1.25"

wanted() { [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $1 "* ]]; }

zoo_of() { if [ "$1" = cnn-3layer ]; then echo "$work/zoo-3layer"; else echo "$work/zoo-2layer"; fi; }

foreign() { "${PYTHON:-.venv/bin/python}" -m benchmarks.reproduce.five_layers "$@"; }

train() { # NAME STEPS OPTION...
    local name=$1 last=$2
    shift 2
    # A run that was stopped has a generator, too. Only the checkpoint of the last step says that it is finished.
    if [ -d "$work/$name/checkpoints/$(printf 'step-%08d' "$last")" ]; then return; fi
    if [ -d "$work/$name/checkpoints" ]; then set -- "$@" --resume_from_checkpoint latest; fi
    "$tina" train --config examples/cifar100/many.toml --output_dir "$work/$name" --dataset "$data" --encoders "$table" \
        --max_steps "$last" "$@"
}

if wanted zoos; then
    for kind in 2layer 3layer; do
        "$tina" zoo build --config "examples/cifar100/zoo-$kind.toml" --dataset "$data" --out "$work/zoo-$kind"
    done
fi
if wanted many; then
    train many "$steps" --zoo "$work/zoo-2layer" --zoos "$work/zoo-3layer"
fi
for name in $trained; do
    if wanted "$name"; then
        train "$name" $((steps / 5)) --zoo "$(zoo_of "$name")" --architectures "$name"
    fi
done
if wanted five-layer; then
    foreign zoo build --config benchmarks/reproduce/five_layers.toml --dataset "$data" --out "$work/zoo-5layer"
    short=(--config examples/cifar100/many.toml --dataset "$data" --encoders "$table" --zoo "$work/zoo-5layer" --architectures five-layer)
    short+=(--lr_warmup_steps 20 --validation_steps none --overwrite_output_dir true)
    foreign train "${short[@]}" --output_dir "$work/five-layer-0" --max_steps 0 --init_from "$work/many/generator"
    foreign train "${short[@]}" --output_dir "$work/five-layer-200" --max_steps 200 --init_from "$work/many/generator"
    foreign train "${short[@]}" --output_dir "$work/five-layer-alone" --max_steps 200
    for name in five-layer-0 five-layer-200 five-layer-alone; do
        foreign evaluate --model "$work/$name/generator" --zoo "$work/zoo-5layer" --dataset "$data" --tasks "$tasks" --encoder "$table" \
            --methods tina,selection --out "$out/$name" --no-novelty
    done
fi
if wanted evaluate; then
    for name in $trained $never; do
        methods=tina,selection,fine-tune
        if [[ " $never " == *" $name "* ]]; then methods=tina,selection; fi
        "$tina" evaluate --model "$work/many/generator" --architecture "$name" --zoo "$(zoo_of "$name")" --dataset "$data" \
            --tasks "$tasks" --encoder "$table" --methods "$methods" --fine-tune-tasks "${FINE_TUNE_TASKS:-20}" \
            --out "$out/many/$name" --no-novelty
    done
fi
if wanted record; then
    for name in $trained $never; do
        for count in 10 5 3; do
            for encoder in "$table" clip-lite; do
                "$tina" evaluate --model "${MODEL:-$work/many/generator}" --architecture "$name" --dataset "$data" \
                    --tasks "examples/cifar100/tasks-$count.json" --encoder "$encoder" --methods tina \
                    --out "$out/record/$name-$count-${encoder%%:*}" --no-novelty --record
            done
        done
    done
fi
if wanted alone; then
    for name in $trained; do
        "$tina" evaluate --model "$work/$name/generator" --zoo "$(zoo_of "$name")" --dataset "$data" \
            --tasks "$tasks" --encoder "$table" --methods tina,selection --out "$out/alone/$name" --no-novelty
    done
fi
