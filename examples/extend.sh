#!/usr/bin/env bash
# Keeps a member’s running server, yours unless you name an e-mail, alive for a number of hours from now, 24 at most, even
# without activity. A later call replaces this one. Prints when the server stops.
#
# Usage: extend.sh HOURS [EMAIL]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 1 2
check_setup

hours=${arguments[0]}
case $hours in '' | *[!0-9]*) fail $usage "$hours is not a whole number of hours" ;; esac
user=$(username "${arguments[1]:-}")
request POST "$(team_path)/servers/$(encode "$user")/extend" "{\"forSeconds\": $((hours * 3600))}" |
  jq -r '"\(.user) stops at \(.stopsAt)"'
