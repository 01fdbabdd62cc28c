#!/usr/bin/env bash
# Writes the files of a GitHub repository that builds the team’s own image on a standard image: Dockerfile,
# requirements.txt, .dockerignore and the workflow that pushes it to GHCR (ghcr) or Google Artifact Registry (gar).
# NAME is the repository and the image. Packages come from REQUIREMENTS, a file in the format of pip’s requirements.txt.
# It takes the default environment unless you name a Python version. Files that exist are never overwritten.
#
# Usage: image-scaffold.sh ghcr|gar NAME FOLDER [REQUIREMENTS [PYTHON]]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 3 5
check_setup

registry=${arguments[0]} name=${arguments[1]} folder=${arguments[2]}
requirements=''
if [ -n "${arguments[3]:-}" ]; then requirements=$(cat "${arguments[3]}") || exit $usage; fi
python=${arguments[4]:-}
[ -n "$python" ] || python=$(request GET /environments | jq -r '.items[] | select(.default) | .python')

order=$(jq -n --arg registry "$registry" --arg team "$TEAM" --arg name "$name" --arg python "$python" \
  --arg requirements "$requirements" \
  '{registry: $registry, team: $team, name: $name, python: $python, requirements: $requirements}')
scaffold=$(request POST /images/scaffold "$order")
paths=$(printf '%s' "$scaffold" | jq -r '.files | keys_unsorted[]')
while IFS= read -r path; do
  [ ! -e "$folder/$path" ] || fail $usage "$folder/$path exists already"
done <<<"$paths"
while IFS= read -r path; do
  mkdir -p "$(dirname "$folder/$path")"
  printf '%s' "$scaffold" | jq -j --arg path "$path" '.files[$path]' >"$folder/$path"
  printf '%s\n' "$folder/$path"
done <<<"$paths"
