#!/bin/sh
# A script that nobody keeps, behind the command line of `leash run`: takes the lock for itself, runs the command, which asks
# before each step and renews if need be, gives the lock back, and ends with 79 when it could not go on, or with the command's status.
# Its status file names the handle.
# usage: check.sh LEASH run --with-lock NAME --status-file FILE [OPTION VALUE]... -- COMMAND...
leash=$1 options=''
shift 2
while [ "$1" != -- ]; do
  case $1 in
    --with-lock) name=$2 ;;
    --status-file) status_file=$2 ;;
    --ttl) ttl=${2%ms} options="$options $1 $2" ;;
    # Nothing is contained.
    --contain) ;;
    *) options="$options $1 $2" ;;
  esac
  shift 2
done
shift
# An eval of nothing would succeed.
assignments=$("$leash" acquire "$name" --export $options) || exit
eval "$assignments"
printf '{"handle":"%s"}\n' "$LEASH_HANDLE" >"$status_file.new"
mv "$status_file.new" "$status_file"
# Less than it asks for, as nobody stops a step that is late.
step=$((ttl * 3 / 5))
check="'$leash' check --for ${step}ms"
MAY_STEP="$check 2>/dev/null || { '$leash' renew && $check; }" STEP_MS=$((step - 50)) LEASH_CONNECT_TIMEOUT=$((ttl / 3))ms "$@"
status=$?
if [ "$status" = 79 ]; then exit 79; fi
"$leash" release || exit
exit "$status"
