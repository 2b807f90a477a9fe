# The part of guard.sh for what a keeper keeps: processes that are not leash's children. guard.sh reads it when it gets "keep".

# Awk, because read(1) of a shell takes a system call for each byte: with some hundred descendants it would take from looking to
# killing what there is left of the lease. Grep reads for it, and puts the file before each line: awk itself may end (mawk does) at
# a process that is gone between open and read, and had seen nobody then. Prints PID:START of who is alive of KEPT and of what
# descends from that, but not of those STRANGERS and what descends from them; and last, "complete", if it got to LAST, the end of
# what there is to read. Who has got a number has another start; a zombie that has threads is alive. A name may have several lines,
# and parentheses. Who was seen before comes first, and parents before their children: a shell that is signalled before its command
# does not go on with its next line because that has ended.
print_living='{
  colon = index($0, ":")
  file = substr($0, 1, colon - 1)
  if (file == LAST) complete = 1
  else stat[file] = substr($0, colon + 1)
}
END {
  seen = split(KEPT, known, " ")
  for (i = split(STRANGERS, some, " "); i > 0; i--) stranger[some[i]]
  for (file in stat) {
    if (!sub(/^.*\) /, "", stat[file])) continue
    split(stat[file], field, " ")
    if (field[1] ~ /[ZX]/ && field[18] <= 1) continue
    split(file, some, "/")
    pid = some[3]
    if (pid in stranger) continue
    parent[pid] = field[2]
    start[pid] = field[20]
    identity[pid ":" start[pid]] = pid
  }
  for (i = 1; i <= seen; i++) if (known[i] in identity) { order[++count] = identity[known[i]]; living[order[count]] }
  do {
    more = 0
    for (pid in parent) if (!(pid in living) && (parent[pid] in living)) { order[++count] = pid; living[pid]; more = 1 }
  } while (more)
  for (i = 1; i <= count; i++) print order[i] ":" start[order[i]]
  if (complete) print "complete"
}'

# Sets $living, and adds to $kept who is new. Fails if nobody is. Who could not be looked at is taken for alive: $unseen.
see_living() {
  unseen=1
  for try in 1 2 3 4 5; do
    living=$(LC_ALL=C grep -s '' /proc/[0-9]*/stat "/proc/$$/comm" |
      awk -v KEPT="$kept" -v STRANGERS="$$ $keeper" -v LAST="/proc/$$/comm" "$print_living")
    case $living in
      *complete)
        unseen=
        break
        ;;
    esac
  done
  living=${living%complete}
  new=
  for one in $living; do
    case "$kept " in *" $one "*) ;; *) new="$new $one" ;; esac
  done
  kept=$kept$new
  [ -n "$new" ]
}

is_kept_alive() {
  see_living
  [ -n "$unseen$living" ]
}

# To those that were seen just now.
signal_living() {
  for one in $living; do
    for number; do kill "-$number" "${one%:*}"; done
  done
}

# Who is stopped forks nobody whom we would not find once the parent is dead; and no shell goes on with its next line because
# its child was killed.
kill_kept() {
  see_living
  for look in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    signal_living STOP
    see_living || break
  done
  signal_living KILL
}

# The keeper has died. A timer whose time has come goes on, and is waited for.
end_kept_in_time() {
  if [ -n "$over" ] || [ -z "$timer" ]; then return; fi
  keeper=
  call_off
  wait "$timer"
  timer=
  if [ "$signal" != 9 ]; then
    see_living
    # Also who was stopped can end.
    signal_living "$signal" CONT
    while is_kept_alive && nap; do :; done
  fi
  end_tree
}
