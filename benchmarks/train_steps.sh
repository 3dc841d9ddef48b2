#!/usr/bin/env bash
# Training's step, loader and both, for the cells that matter on a GPU, then one whole short run; about ten minutes on
# one. Everything goes to OUT as JSON lines.
#
#   benchmarks/train_steps.sh OUT [SYNTHETIC PICTURES, 20000]
set -euo pipefail

if [ "$#" -lt 1 ]; then
    sed -n '5s/^# *//p' "$0" >&2
    exit 2
fi
out=$1 pictures=${2:-20000}
mkdir -p "$out"
config=train/configs/ava_mobilenet_best.toml
for backend in ${BACKENDS:-jax tensorflow}; do
    for batch in ${BATCHES:-96 256}; do
        for precision in ${PRECISIONS:-float32 mixed_bfloat16}; do
            for jit in jit no-jit; do
                [ "$backend $jit" = "jax no-jit" ] && continue # JAX always compiles
                KERAS_BACKEND=$backend edge-nima train bench "$config" --json "--$jit" --synthetic "$pictures" \
                    --seconds "${SECONDS_EACH:-5}" --set "phase2.batch=$batch" --set "run.precision=$precision" |
                    sed "s/^{/{\"backend\": \"$backend\", \"jit\": \"$jit\", /" | tee -a "$out/steps.jsonl"
            done
        done
    done
done
