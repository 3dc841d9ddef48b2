#!/usr/bin/env bash
# From labels and photographs to a converted checkpoint: verify, explore, split, balance, pack, train, evaluate, convert.
# The same command goes on where it was interrupted, and starts those steps again whose inputs have changed.
#
#   train/run.sh LABELS IMAGES OUT CONFIG [further arguments of `edge-nima train fit`, such as --set phase2.epochs=0]
#
# TEST_LIST: the ids that are held back, such as AVA's generic_test.jpgl; without it nothing is, and the
# photographs that validated are evaluated and judge the conversion.
# PER_BIN: keep this many training photographs of each of ten rating bins, those with most ratings, as the seed
# project did; without it all are kept.
# A run of other inputs is moved aside, to OUT/run-DATE; everything else is replaced.
set -euo pipefail

if [ "$#" -lt 4 ]; then
    sed -n '5,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
labels=$1 images=$2 out=$3 config=$4
shift 4
mkdir -p "$out/steps"
exec 9> "$out/steps/.lock"
flock --nonblock 9 || { echo "another run.sh works in '$out': wait for it, or give another OUT" >&2 && exit 2; }

# step NAME OUTPUT INPUTS COMMAND...: run COMMAND unless it has made OUTPUT of the same INPUTS. `again` is --overwrite where
# what it has left so far is of others.
step() {
    local name=$1 inputs
    inputs=$(printf '%s\n' "${@:3}" | sha256sum)
    printf '== %s\n' "$name"
    if [ -e "$out/$2" ] && [ "$inputs" = "$(cat "$out/steps/$name.done" 2> /dev/null)" ]; then
        echo "nothing has changed"
        return
    fi
    again=()
    if [ "$inputs" != "$(cat "$out/steps/$name.begun" 2> /dev/null)" ]; then
        again=(--overwrite)
        rm -f "$out/steps/$name.done"
        printf '%s' "$inputs" > "$out/steps/$name.begun"
    fi
    "${@:4}"
    printf '%s' "$inputs" > "$out/steps/$name.done"
}
content() { sha256sum < "$1"; }

pack() { edge-nima data pack "$manifest" --out "$out/shards" "${shape[@]}" "${again[@]}"; }
train() {
    if [ "${#again[@]}" -gt 0 ] && [ -d "$out/run" ]; then
        mv "$out/run" "$out/run-$(date +%Y%m%d-%H%M%S)"
    fi
    edge-nima train fit --config "$config" --out "$out/run" "$@"
}

export AVA_SHARDS="$out/shards"
# How pictures are packed is what the configuration says; its text in full is what training depends on.
settings=$(python3 - "$config" "$@" << 'EOF'
import sys
from edge_nima.errors import EdgeNimaError
from edge_nima_train import read_config
config, *more = sys.argv[1:]
try:
    c = read_config(config, [value for flag, value in zip(more, more[1:]) if flag == "--set"])
except EdgeNimaError as error:
    sys.exit(f"run.sh: {error}")
d = c.data
print("--size", d.size, "--input", c.network.input, "--filter", d.filter, "--fit", d.fit, "--longest-edge", d.longest_edge)
print(c.as_toml())
EOF
) || exit 2
read -ra shape <<< "$settings"

step verify verified.csv "$(content "$labels") $(find "$images" -type f -printf '%P %s %T@\n' | LC_ALL=C sort | sha256sum)" \
    edge-nima data verify "$labels" "$images" --out "$out/verified.csv" --overwrite
manifest=$out/verified.csv
step explore explored "$(content "$manifest")" edge-nima data explore "$manifest" --out "$out/explored" --overwrite
step split split.csv "$(content "$manifest") ${TEST_LIST:+$(content "$TEST_LIST")}" \
    edge-nima data split "$manifest" --out "$out/split.csv" --overwrite ${TEST_LIST:+--test "$TEST_LIST"}
manifest=$out/split.csv
if [ -n "${PER_BIN:-}" ]; then
    step balance balanced.csv "$(content "$manifest") $PER_BIN" \
        edge-nima data balance "$manifest" --out "$out/balanced.csv" --per-bin "$PER_BIN" --overwrite
    manifest=$out/balanced.csv
fi
step pack shards "$(content "$manifest") ${shape[*]}" pack
step train run/done.json "$(content "$out/shards/shards.json") $settings" train "$@"
split=${TEST_LIST:+test}
model="$(content "$out/run/model.keras") $(content "$manifest")"
step evaluate "run/evaluation-${split:-val}" "$model" \
    edge-nima train evaluate "$out/run" --manifest "$manifest" --split "${split:-val}" --overwrite
step convert models "$model" edge-nima convert "$out/run" --recipe auto --calibration "$manifest" \
    --evaluate "$manifest:${split:-val}" --out "$out/models" --report "$out/models" --overwrite
