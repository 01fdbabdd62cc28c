#!/usr/bin/env bash
# Restricts what the team’s notebooks may reach. `on` and `off` turn the restriction on and off; `add` and `remove` change
# one entry, host[:port[-port]], port 443 unless given; `check` tells whether a notebook may connect to a destination
# (exit code 3 if not); `show` prints every entry and whether it is open now.
#
# Usage: allowlist.sh on|off|show | add|remove|check HOST[:PORT[-PORT]]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 1 2
check_setup

show() {
  request GET "$(team_path)/egress" |
    jq -r '.because, (.entries[] | "\(.entry)\t\(.status)\t\(.message // "")")'
}

enable() {
  request PATCH "$(team_path)/notebook" "{\"allowlist\": {\"enabled\": $1}}" >/dev/null
  show
}

entry=${arguments[1]:-}
host_path="$(team_path)/notebook/allowlist/hosts/$(encode "$entry")"
case ${arguments[0]}:${entry:+entry} in
  on:) enable true ;;
  off:) enable false ;;
  show:) show ;;
  add:entry)
    request PUT "$host_path" >/dev/null
    show
    ;;
  remove:entry)
    request DELETE "$host_path" >/dev/null
    show
    ;;
  check:entry)
    answer=$(request POST "$(team_path)/egress/check" "$(jq -n --arg entry "$entry" '{destination: $entry}')")
    printf '%s' "$answer" | jq -r .because
    printf '%s' "$answer" | jq -e .allowed >/dev/null || exit $failed
    ;;
  *) fail $usage "$(sed -n 's/^# Usage: /Usage: /p' "$0")" ;;
esac
