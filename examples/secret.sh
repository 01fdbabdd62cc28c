#!/usr/bin/env bash
# The team’s secret in Google Secret Manager. `show` prints its name and versions. `add` adds a version whose content it
# reads from standard input, never from an argument, byte for byte: printf is better than echo, which adds a line break.
# `disable` and `enable` change one version. `grant` prints the command that lets notebooks read a secret of your own.
#
# Usage: secret.sh show|add|grant | disable|enable VERSION
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read_arguments "$@"
expect_arguments 1 2
check_setup

path="$(team_path)/secret"
version=${arguments[1]:-}
case ${arguments[0]}:${version:+version} in
  show:)
    request GET "$path" | jq -r '"\(.env)=\(.name)", (.versions[] | "\(.version)\t\(.state)\t\(.createdAt)")'
    ;;
  add:)
    content=$(base64 | tr -d '\n')
    [ -n "$content" ] || fail $usage 'standard input is empty'
    request POST "$path/versions" "{\"dataBase64\": \"$content\"}" | jq -r '"version \(.version) \(.state)"'
    ;;
  grant:) request GET "$path" | jq -r .grantCommand ;;
  disable:version | enable:version)
    request POST "$path/versions/$(encode "$version")/${arguments[0]}" | jq -r '"version \(.version) \(.state)"'
    ;;
  *) fail $usage "$(sed -n 's/^# Usage: /Usage: /p' "$0")" ;;
esac
