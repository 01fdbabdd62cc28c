#!/usr/bin/env bash
# Runs the team’s notebooks on its own image in Google Artifact Registry. Without arguments it lists the team’s images,
# and with an image alone the tags of that image, newest first. A platform admin sets the team’s garTeam once before.
#
# Usage: image-gar.sh [--wait SECONDS] [IMAGE [TAG]]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 0 2
check_setup

case ${#arguments[@]} in
  0) request GET "$(team_path)/images" | jq -r '.items[] | select(.registry == "gar") | .image' ;;
  1) list_tags "${arguments[0]}" ;;
  2) order_image "${arguments[0]}:${arguments[1]}" ;;
esac
