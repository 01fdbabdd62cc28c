#!/usr/bin/env bash
# The team’s members: lists them, adds one (as a member, unless you write owner) or removes one. Someone who is removed loses
# access at once; the files in their home volume are kept. Only owners add and remove others.
#
# Usage: members.sh list | add EMAIL [member|owner] | remove EMAIL
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 1 3
check_setup

email=${arguments[1]:-} role=${arguments[2]:-}
member_path="$(team_path)/members/$(encode "$email")"
case ${arguments[0]}:${email:+email}:${role:+role} in
  list::) ;;
  add:email:*) request PUT "$member_path" "$(jq -n --arg role "$role" 'if $role == "" then {} else {role: $role} end')" >/dev/null ;;
  remove:email:) request DELETE "$member_path" >/dev/null ;;
  *) fail $usage "$(sed -n 's/^# Usage: /Usage: /p' "$0")" ;;
esac
request GET "$(team_path)" | jq -r '.members[] | "\(.email)\t\(.username)\t\(.role)"'
