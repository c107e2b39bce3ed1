#!/bin/bash
# Two nodes of four GPUs, one worker a node:  sbatch experiments/launch/slurm.sh CONFIG RECORDS RUN
# The same command resumes a run that was stopped, preempted or lost a node.
#SBATCH --job-name=stfnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: sbatch $0 CONFIG RECORDS RUN [more flags of experiments.train]" >&2
    exit 1
fi
config=$1 records=$2 run=$3
shift 3
# RECORDS and RUN must be the same folders on every node. The batch size is shared by all devices.
srun --kill-on-bad-exit=1 .venv/bin/python -m experiments.train --strategy=multi_worker \
    --config="$config" --records="$records" --workdir="$run" --cache=disk "$@"
