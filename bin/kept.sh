# The part of guard.sh for what a keeper keeps: processes that are not leash's children. guard.sh reads it when it gets "keep".

# Whether PID:START is alive. Who has got its number has another start; a zombie that has threads is none.
is_there() {
  pid=${1%:*}
  see_start "$pid"
  [ "$start" = "${1#*:}" ] || return 1
  case $state in [ZX]) [ "$threads" -gt 1 ] ;; esac
}

is_kept_alive() {
  for one in $kept; do
    if is_there "$one"; then return 0; fi
  done
  return 1
}

signal_kept() {
  for one in $kept; do
    if is_there "$one"; then for number; do kill "-$number" "$pid"; done; fi
  done
}

# Adds to $kept what has descended from these meanwhile, but not us and the keeper.
see_descendants() {
  parents=$kept
  while [ -n "$parents" ]; do
    set --
    for one in $parents; do
      if is_there "$one"; then set -- "$@" -e ") [A-Za-z] $pid [^)]*$"; fi
    done
    parents=
    if [ $# = 0 ]; then return; fi
    for file in $(grep -ls "$@" /proc/[0-9]*/stat); do
      pid=${file#/proc/} pid=${pid%/stat}
      see_start "$pid"
      case " $$ $keeper " in *" $pid "*) continue ;; esac
      case "$kept " in *" $pid:$start "*) continue ;; esac
      if [ -n "$start" ]; then parents="$parents $pid:$start"; fi
    done
    kept="$kept$parents"
  done
}

# Who is stopped forks nobody whom we would not find once the parent is dead; and no shell goes on with its next line because
# its child was killed.
kill_kept() {
  for look in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    signal_kept STOP
    last=$kept
    see_descendants
    if [ "$kept" = "$last" ]; then break; fi
  done
  signal_kept KILL
}

# The keeper has died. A timer whose time has come goes on, and is waited for.
end_kept_in_time() {
  if [ -n "$over" ] || [ -z "$timer" ]; then return; fi
  keeper=
  call_off
  wait "$timer"
  timer=
  if [ "$signal" != 9 ]; then
    see_descendants
    # Also who was stopped can end.
    signal_kept "$signal" CONT
    while is_kept_alive && nap; do :; done
  fi
  end_tree
}
