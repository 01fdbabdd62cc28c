#!/usr/bin/env bash
# Sets the team’s Cull Timeout: how many seconds without activity stop a server (3600 is the default). Applies to the
# servers that are running, too; prints when each of them stops now.
#
# Usage: cull-timeout.sh SECONDS
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 1 1
check_setup

seconds=${arguments[0]}
case $seconds in '' | *[!0-9]*) fail $usage "$seconds is not a whole number of seconds" ;; esac

request PATCH "$(team_path)/notebook" "{\"culling\": {\"timeoutSeconds\": $seconds}}" |
  jq -r '"Cull Timeout: \(.spec.culling.timeoutSeconds) seconds"'
request GET "$(team_path)/servers" |
  jq -r '.items[] | select(.stopsAt != null) | "\(.user) stops at \(.stopsAt)"'
