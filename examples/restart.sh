#!/usr/bin/env bash
# Restarts a member’s notebook server, yours unless you name an e-mail, and waits until it runs. A stopped one is started.
# The home volume is kept; whatever was only in memory is lost. If the hub does not answer, see restart-hub.sh.
#
# Usage: restart.sh [--wait SECONDS] [EMAIL]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 0 1
check_setup

user=$(username "${arguments[0]:-}")
operation=$(request POST "$(team_path)/servers/$(encode "$user")/restart")
wait_for_operation "$operation"
request GET "$(team_path)/servers" | jq -r --arg user "$user" '.items[] | select(.user == $user) | .url'
