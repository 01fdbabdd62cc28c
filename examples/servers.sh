#!/usr/bin/env bash
# Lists the team’s notebook servers: who, state, when it stops and why, and whether it waits for a restart to get what was
# ordered last.
#
# Usage: servers.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 0 0
check_setup

request GET "$(team_path)/servers" | jq -r '.items[] |
  "\(.user)\t\(.state)\t\(.stopsAt // "-")\t\(.stopsBecause // "-")\t\(if .pendingRestart then "restart pending" else "" end)"'
