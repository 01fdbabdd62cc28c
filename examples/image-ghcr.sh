#!/usr/bin/env bash
# Runs the team’s notebooks on its own image in GitHub’s container registry, such as ghcr.io/navikt/my-notebook. Registers
# the repository with the team, so everyone finds it among the team’s images. With an image alone it lists the tags,
# newest first. The package must be public.
#
# Usage: image-ghcr.sh [--wait SECONDS] IMAGE [TAG]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 1 2
check_setup

image=${arguments[0]}
if [ ${#arguments[@]} -eq 1 ]; then
  list_tags "$image"
  exit
fi

# The list is replaced as a whole, so the change is refused if someone else changed the team in between.
version=$(etag "$(team_path)")
repositories=$(request GET "$(team_path)" | jq -c --arg image "$image" '{ghcrRepositories: (.ghcrRepositories + [$image])}')
team=$(request PATCH "$(team_path)" "$repositories" "If-Match: $version")
printf '%s' "$team" | jq -r '.warnings[].message' >&2
order_image "$image:${arguments[1]}"
