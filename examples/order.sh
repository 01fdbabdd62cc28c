#!/usr/bin/env bash
# Orders a notebook for the team, creates the team if you have none of that name, and waits until it is ready.
# The order is a JSON file, or - for standard input; without it every field has its default.
#
# Usage: order.sh [--wait SECONDS] [ORDER]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 0 1
check_setup

order='{}'
case ${arguments[0]:-} in
  '') ;;
  -) order=$(cat) ;;
  *) order=$(cat "${arguments[0]}") || fail $usage "${arguments[0]} cannot be read" ;;
esac
printf '%s' "$order" | jq -e 'type == "object"' >/dev/null 2>&1 || fail $usage 'the order is not a JSON object'

me=$(request GET /me)
if ! printf '%s' "$me" | jq -e --arg team "$TEAM" 'any(.teams[]; .slug == $team)' >/dev/null; then
  request POST /teams "$(jq -n --arg team "$TEAM" '{slug: $team}')" >/dev/null
  echo "created $TEAM" >&2
fi

# Without the header, an order would replace an earlier one, and set what it leaves out back to the default.
request PUT "$(team_path)/notebook" "$order" 'If-None-Match: *' >/dev/null
notebook=$(wait_for_notebook)
printf '%s' "$notebook" | jq -r .status.url
