# Shared by the scripts of this folder; sourced, never run. Needs bash 3.2, curl 7.68 and jq 1.5, or newer.
# shellcheck shell=bash

# Exit codes: 0 done · 1 refused by the API · 2 wrong usage · 3 accepted, but failed · 4 not done in time · 5 no answer
refused=1 usage=2 failed=3 timed_out=4 no_answer=5

wait_seconds=600
arguments=()

fail() {
  local code=$1
  shift
  printf '%s\n' "$*" >&2
  exit "$code"
}

# Reads the command line into `arguments`: --help prints the comment at the top of the script, --wait sets `wait_seconds`.
read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
      --wait)
        [ $# -gt 1 ] || fail $usage '--wait needs a number of seconds'
        wait_seconds=$2
        shift
        case $wait_seconds in '' | *[!0-9]*) fail $usage "--wait $wait_seconds: not a number of seconds" ;; esac
        ;;
      -?*) fail $usage "$1: there is no such option; --help shows the usage" ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
}

# Ends the script unless every tool and variable that it needs is there.
check_setup() {
  local tool name
  for tool in curl jq; do
    command -v "$tool" >/dev/null || fail $usage "$tool is not installed"
  done
  for name in API TOKEN TEAM; do
    [ -n "${!name:-}" ] || fail $usage "$name is not set; export API (https://…), TOKEN and TEAM first"
  done
  API=${API%/}
}

# Ends the script with the usage line unless the number of arguments is within bounds.
expect_arguments() {
  local least=$1 most=$2
  if [ ${#arguments[@]} -lt "$least" ] || [ ${#arguments[@]} -gt "$most" ]; then
    fail $usage "$(sed -n 's/^# Usage: /Usage: /p' "$0")"
  fi
}

# One path segment, percent-encoded.
encode() { jq -nr --arg text "$1" '$text | @uri'; }

print_problem() {
  jq -r '"\(.title) (\(.status) \(.code))", .detail, (.errors // [] | .[] | "  \(.pointer): \(.message)")' >&2
}

token_header() { printf 'header = "Authorization: Bearer %s"\n' "$TOKEN"; }

# request METHOD PATH [BODY [HEADER]…]: prints the body of the answer. The token and the body are never arguments of a
# process, where other users of the machine could read them.
request() {
  local method=$1 path=$2 body=${3:-} header answer status
  shift 2
  [ $# -eq 0 ] || shift
  local options=(--silent --show-error --max-time 60 --request "$method" --write-out '\n%{http_code}')
  for header in "$@"; do options+=(--header "$header"); done
  if [ -n "$body" ]; then options+=(--header 'Content-Type: application/json' --data-binary @-); fi
  answer=$(
    printf '%s' "$body" |
      curl --config <(token_header) "${options[@]}" "$API/v1$path"
  ) || fail $no_answer "$API did not answer"
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  case $status in
    2??) printf '%s\n' "$answer" ;;
    *)
      [ -n "$(printf '%s' "$answer" | jq -r '.code? // empty' 2>/dev/null)" ] ||
        fail $no_answer "$API answered $status, but not as this API does; is the value of API right?"
      printf '%s' "$answer" | print_problem
      exit $refused
      ;;
  esac
}

# shellcheck disable=SC2153 # TEAM is the environment’s
team_path() { printf '/teams/%s' "$(encode "$TEAM")"; }

# username [E-MAIL]: the member’s user name at the team’s hub; yours without an argument.
username() {
  local email=${1:-} team
  [ -n "$email" ] || email=$(request GET /me | jq -r .email) || exit $?
  team=$(request GET "$(team_path)") || exit $?
  printf '%s' "$team" | jq -er --arg email "$email" '.members[] | select(.email == $email) | .username' ||
    fail $usage "$email is not a member of $TEAM"
}

# etag PATH: the version of a resource, for If-Match.
etag() {
  curl --silent --show-error --max-time 60 --config <(token_header) --output /dev/null --dump-header - "$API/v1$1" |
    tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p'
}

# wait_for_operation OPERATION: follows it to its end and prints each new message. Exits 3 with the problem if it fails.
wait_for_operation() {
  local operation=$1 path message said=''
  path="$(team_path)/operations/$(printf '%s' "$operation" | jq -r .id)" || exit $?
  local end=$((SECONDS + wait_seconds))
  while :; do
    message=$(printf '%s' "$operation" | jq -r '"\(.progress) % \(.message)"')
    if [ "$message" != "$said" ]; then
      printf '%s\n' "$message" >&2
      said=$message
    fi
    if printf '%s' "$operation" | jq -e 'has("error")' >/dev/null; then
      printf '%s' "$operation" | jq .error | print_problem
      exit $failed
    fi
    if printf '%s' "$operation" | jq -e .done >/dev/null; then return; fi
    [ $SECONDS -lt $end ] || fail $timed_out "not done after $wait_seconds seconds; it continues at $API/v1$path"
    sleep 1
    operation=$(request GET "$path") || exit $?
  done
}

# The conditions of a notebook that are not met.
print_conditions() {
  printf '%s' "$1" |
    jq -r '.status.conditions[] | select(.status != "True") | "  \(.type) \(.reason): \(.message)"' >&2
}

# Waits until the notebook is as ordered, and prints it. Exits 3 with the conditions if it is Degraded.
wait_for_notebook() {
  local notebook phase said='' end=$((SECONDS + wait_seconds))
  while :; do
    notebook=$(request GET "$(team_path)/notebook") || exit $?
    phase=$(printf '%s' "$notebook" | jq -r .status.phase)
    if [ "$phase" != "$said" ]; then
      printf '%s\n' "$phase" >&2
      said=$phase
    fi
    case $phase in
      Ready)
        printf '%s\n' "$notebook"
        return
        ;;
      Degraded)
        print_conditions "$notebook"
        exit $failed
        ;;
    esac
    if [ $SECONDS -ge $end ]; then
      print_conditions "$notebook"
      fail $timed_out "not Ready after $wait_seconds seconds; the order is kept and continues"
    fi
    sleep 1
  done
}

# list_tags IMAGE: the tags of an image of the team, newest first.
list_tags() {
  request GET "$(team_path)/images/tags?limit=200&image=$(encode "$1")" | jq -r '.items[].tag'
}

# order_image IMAGE:TAG: checks the image, orders it, waits, and prints what is pinned.
order_image() {
  local image notebook
  image=$(jq -n --arg image "$1" --arg team "$TEAM" '{image: $image, team: $team}')
  request POST /images/resolve "$image" | jq -r '.warnings[].message' >&2 || exit $?
  request PATCH "$(team_path)/notebook" "$(jq -n --arg image "$1" '{image: $image}')" >/dev/null || exit $?
  notebook=$(wait_for_notebook) || exit $?
  printf '%s' "$notebook" | jq -r '"\(.status.image.reference) \(.status.image.digest)"'
}
