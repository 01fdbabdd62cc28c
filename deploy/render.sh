#!/usr/bin/env bash
# Fills the ${NAME} placeholders of files from the environment and prints the result. A name that the environment
# does not have is an error; an empty value is a value.
#
# Usage: PROJECT_ID=knada-dev … deploy/render.sh service.yaml
set -euo pipefail

text=$(cat "$@")
for name in $(grep -oE '\$\{[A-Z_]+\}' <<<"$text" | tr -d '${}' | sort -u); do
  if [[ ! -v $name ]]; then
    echo "$* needs $name in the environment" >&2
    exit 1
  fi
  text=${text//"\${$name}"/"${!name}"}
done
printf '%s\n' "$text"
