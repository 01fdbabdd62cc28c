#!/usr/bin/env bash
# Restarts the team’s hub, also when it has frozen: nobody can log in, start or stop a server. Waits until the hub is
# back. Notebook servers keep running, and nothing in them is lost.
#
# Usage: restart-hub.sh [--wait SECONDS]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 0 0
check_setup

operation=$(request POST "$(team_path)/hub/restart")
wait_for_operation "$operation"
