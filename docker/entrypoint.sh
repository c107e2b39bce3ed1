#!/bin/sh
# `prepare --source=...` runs stfnet-prepare --source=...; another name is a program of the image,
# such as tensorboard. exec, so that the signal of `docker stop` reaches the program.
set -eu

programs() {
    for folder in $(echo "$PATH" | tr : ' '); do
        ls "$folder" 2>/dev/null
    done | sed -n 's/^stfnet-//p' | sort -u | tr '\n' ' '
}

if [ $# -eq 0 ]; then
    echo "usage: docker run IMAGE PROGRAM --name=value ...; programs: $(programs)"
    exit 0
fi
name=$1
shift
if command -v "stfnet-$name" >/dev/null; then
    exec "stfnet-$name" "$@"
elif command -v -- "$name" >/dev/null; then
    exec "$name" "$@"
fi
echo "error: $name is no program of this image: name one of $(programs)" >&2
exit 1
