#!/bin/sh
# Two machines with ssh between them. Both need: the same trickbag and the same MPI at the same paths, the data at the same path,
# and a login by key from the first to the second without a question. Only the first writes the run folder.
#
#   pip install mpich          brings mpiexec where no package does
#   sh two-machines.sh first.example.com second.example.com /data/imagenet-256 runs/resnet50d
set -e
FIRST=$1 SECOND=$2 DATA=$3 RUN=$4

# MPICH: a name a line, with the number of its ranks. Open MPI's spelling is `NAME slots=1`, and its option --hostfile.
HOSTS=$(mktemp)
printf '%s:1\n%s:1\n' "$FIRST" "$SECOND" > "$HOSTS"

if [ -f "$RUN/recipe.toml" ]; then WHAT=--resume; else WHAT=efficient; fi
exec mpiexec -f "$HOSTS" -n 2 trickbag train $WHAT --data "$DATA" --out "$RUN"
