#!/bin/sh
# A script that is kept, behind the command line of `leash run`: takes the lock for itself, runs the command, gives the lock
# back, and ends with the command's status, or with that of a release that fails. Its status file names the handle.
# usage: acquire.sh LEASH run --with-lock NAME --status-file FILE [OPTION VALUE]... -- COMMAND...
# With KEPT=exec in its environment it becomes the command, and nobody gives the lock back.
leash=$1 options=''
shift 2
while [ "$1" != -- ]; do
  case $1 in
    --with-lock) name=$2 ;;
    --status-file) status_file=$2 ;;
    # It is found by descent alone.
    --contain) ;;
    *) options="$options $1 $2" ;;
  esac
  shift 2
done
shift
# An eval of nothing would succeed.
assignments=$("$leash" acquire "$name" --keep $$ --export $options) || exit
eval "$assignments"
printf '{"handle":"%s"}\n' "$LEASH_HANDLE" >"$status_file.new"
mv "$status_file.new" "$status_file"
if [ "$KEPT" = exec ]; then exec "$@"; fi
"$@"
status=$?
"$leash" release || exit
exit "$status"
