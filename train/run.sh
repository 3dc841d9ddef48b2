#!/usr/bin/env bash
# From labels and photographs to a checkpoint and its evaluation, and stop. Every step goes on where it was
# interrupted, so the same command does too.
#
#   train/run.sh LABELS IMAGES OUT CONFIG [further arguments of `edge-nima train fit`, such as --set phase2.epochs=0]
#
# LONGEST_EDGE: data.longest_edge of CONFIG, 640 unless set.
# TEST_LIST: the ids that are held back, such as AVA's generic_test.jpgl; without it nothing is, and the
# photographs that validated are evaluated.
set -euo pipefail

if [ "$#" -lt 4 ]; then
    sed -n '5,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
labels=$1 images=$2 out=$3 config=$4
shift 4
mkdir -p "$out"
step() { printf '== %s\n' "$1"; }

step "verify"
[ -f "$out/verified.csv" ] || edge-nima data verify "$labels" "$images" --out "$out/verified.csv"

step "split"
[ -f "$out/manifest.csv" ] ||
    edge-nima data split "$out/verified.csv" --out "$out/manifest.csv" ${TEST_LIST:+--test "$TEST_LIST"}

step "pack"
edge-nima data pack "$out/manifest.csv" --out "$out/shards" --longest-edge "${LONGEST_EDGE:-640}"

step "train"
AVA_SHARDS="$out/shards" edge-nima train fit --config "$config" --out "$out/run" "$@"

step "evaluate"
split=val
[ -z "${TEST_LIST:-}" ] || split=test
edge-nima train evaluate "$out/run" --manifest "$out/manifest.csv" --split "$split" --overwrite
