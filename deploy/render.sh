#!/usr/bin/env bash
# Replaces the ${NAME} placeholders of YAML files from the environment and prints the documents. An unset name is an
# error; an empty value is allowed.
#
# Usage: PROJECT_ID=knada-dev … deploy/render.sh service.yaml
set -euo pipefail

for file in "$@"; do
  text=$(<"$file")
  for name in $(grep -oE '\$\{[A-Z_]+\}' <<<"$text" | tr -d '${}' | sort -u); do
    if [[ ! -v $name ]]; then
      echo "$file needs $name in the environment" >&2
      exit 1
    fi
    text=${text//"\${$name}"/"${!name}"}
  done
  printf -- '---\n%s\n' "$text"
done
