#!/bin/bash
# This machine's part of a run on several, told by TF_CONFIG. On every machine, with its own number:
#     experiments/launch/workers.sh NUMBER host1:2222,host2:2222 CONFIG RECORDS RUN
# Worker 0 is the chief and writes the run's files. To rehearse on one machine, start it twice
# with 127.0.0.1:2222,127.0.0.1:2223.
set -euo pipefail
if [ $# -lt 5 ]; then
    echo "usage: $0 NUMBER HOST:PORT,HOST:PORT,... CONFIG RECORDS RUN [more flags]" >&2
    exit 1
fi
number=$1 hosts=$2 config=$3 records=$4 run=$5
if ! [[ $number =~ ^(0|[1-9][0-9]*)$ ]]; then
    echo "error: NUMBER $number is not a whole number: give this machine's place among $hosts, from 0" >&2
    exit 1
fi
shift 5
export TF_CONFIG="{\"cluster\": {\"worker\": [\"${hosts//,/\", \"}\"]}, \"task\": {\"type\": \"worker\", \"index\": $number}}"
exec "${PYTHON:-.venv/bin/python}" -m experiments.train --strategy=multi_worker \
    --config="$config" --records="$records" --workdir="$run" "$@"
