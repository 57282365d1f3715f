#!/usr/bin/env bash
# Collect what a GPU machine without a network needs: wheels and a subset of CIFAR-100, in benchmarks/gpu/pack.
#   DATA=cifar100.npz bash benchmarks/gpu/pack.sh
# The machine must have python 3.12, torch, torchvision, transformers, accelerate, pluggy, safetensors and typer.
# TARGET_PYTHON=3.12 names its Python, PICTURES=250 the training pictures of each class, QUALITY=85 that of JPEG.
# Fails if the pack and the checkout without plugins/ together exceed LIMIT_MIB=64.
# WHEELS=none leaves the wheels out, which need a package index.
set -euo pipefail
data=$(realpath "${DATA:?set DATA to the .npz of CIFAR-100}")
pack=$(realpath -m "${PACK:-$(dirname "$0")/pack}")
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
rm -rf "$pack/wheels" "$pack/pictures"
mkdir -p "$pack/wheels" "$pack/pictures"
"$python" -m benchmarks.gpu.pictures pack "$data" "$pack/pictures" --pictures "${PICTURES:-250}" --quality "${QUALITY:-85}"
if [ "${WHEELS:-}" != none ]; then
    # pip matches a platform exactly, so the ones that wheels are built for are listed.
    "$python" -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version "${TARGET_PYTHON:-3.12}" \
        --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest "$pack/wheels" pydantic-settings entrypoints
    echo "$(find "$pack/wheels" -name '*.whl' | wc -l) wheels, $(($(cat "$pack"/wheels/*.whl | wc -c) / 1024)) KiB"
fi
git rev-parse HEAD > "$pack/commit.txt"
size=$(find "$pack" -type f -exec cat {} + | wc -c)
tree=$(git ls-files -z -- . ':!plugins' | xargs -0 cat | wc -c)
total=$(((size + tree) / 1048576 + 1))
echo "pack: $((size / 1048576 + 1)) MiB; checkout without plugins: $((tree / 1048576 + 1)) MiB; together: $total MiB"
if [ "$total" -gt "${LIMIT_MIB:-64}" ]; then
    echo "Error: that is more than ${LIMIT_MIB:-64} MiB. Set a smaller PICTURES or QUALITY, or a larger LIMIT_MIB." >&2
    exit 1
fi
