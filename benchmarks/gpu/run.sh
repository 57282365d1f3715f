#!/usr/bin/env bash
# Prove on a GPU what the tests cannot prove on a CPU, in at most nine minutes from a bare machine.
#   OUT=results bash benchmarks/gpu/run.sh [--tiny] [--parts resume,speed]
# Results appear in OUT (default outputs/gpu) part by part. pack.sh makes what a machine without a network needs.
# DATA=cifar100.npz takes the pictures from there instead of the pack; PYTHON names the Python that has PyTorch.
set -uo pipefail
begin=$(date +%s)
pack=$(realpath -m "${PACK:-$(dirname "$0")/pack}")
out=$(realpath -m "${OUT:-outputs/gpu}")
data=${DATA:+$(realpath -m "$DATA")}
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/tina-gpu.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/site"
say() { echo "[setup $(($(date +%s) - begin)) s] $*"; }
export PYTHONPATH="$PWD:$work/site${PYTHONPATH:+:$PYTHONPATH}" PIP_DISABLE_PIP_VERSION_CHECK=1
if [ -f "$pack/commit.txt" ]; then
    GPU_COMMIT=$(cat "$pack/commit.txt")
    export GPU_COMMIT
fi
# A failure here ends nothing: each part then records why it could not run.
if [ -d "$pack/wheels" ] && ! "$python" -c "import entrypoints, pydantic_settings" 2>/dev/null; then
    say "installing wheels"
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$work/site" "$pack"/wheels/*.whl
fi
"$python" -m benchmarks.gpu.metadata "$work/site"
if [ -z "$data" ]; then
    data=$work/cifar100.npz
    say "unpacking pictures"
    "$python" -m benchmarks.gpu.pictures unpack "$pack/pictures" "$data"
fi
say "ready"
# Nine minutes are for everything, and some seconds for the end.
seconds=$((${SECONDS_IN_ALL:-540} - ($(date +%s) - begin) - 10))
"$python" -m benchmarks.gpu --data "$data" --out "$out" --work "$work" --seconds "$seconds" "$@" &
child=$!
trap 'kill -TERM $child 2>/dev/null' TERM INT
wait $child
code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
exit $code
