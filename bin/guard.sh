#!/bin/sh
# The guard: a dead man's switch beside a job, which ends the job's whole tree in time also if leash is killed or frozen.
#
# usage: guard.sh MARKER CGROUP CLEAN_END...
#   MARKER     the variable that the job's processes carry in their environment, and we do not
#   CGROUP     the directory that the job's cgroup will have, if it gets one
#   CLEAN_END  what makes the clean end at etcd; gets the ticket as one more argument
#
# Orders come on descriptor 3, a socket, each a line, and answers go there; what ends is ended with KILL, again and again until it was *seen* empty:
#   job PID SESSION CGROUP   what becomes the job; it waits until we have answered: ready. SESSION: leads, if it leads a
#              session of its own, or shares, if it shares leash's and the terminal. CGROUP: inside, if we are to move it into
#              its own, or none. If the kernel refuses that, the answer is: refused.
#   until N    end the tree when the boot clock shows N hundredths of a second (0: now). Answer: until N.
#              Afterwards, "ended N" says when it was seen empty.
#   ticket T   what is left to do at etcd if leash dies
#   empty      the tree is empty: from now on nothing is to be killed
# The end of that means that leash is dead: end the tree at once, then make the clean end.
#
# A keeper's guard gets one order in place of "job", for a process that is not leash's child:
#   keep PID START SIGNAL   the tree is PID and what descends from it. START: when it started, in clock ticks since boot.
#              SIGNAL: the number of the gentle signal. Answer: ready.
#   see        look who descends from it by now, so that they are found though their parent has ended. Answer: seen.
# When the orders end, the keeper is dead, and so is the lease in a while: until then a shell's traps can clean up. The tree
# gets SIGNAL at once, and KILL at the moment that was told last; then we end, as we do as soon as nothing is left. If none was
# told yet, nothing depends on the lock. Not seen: what has lost its parent before we first looked, as nothing marks it. A timer
# knows whom we had seen when its moment was told.
#
# There is no farewell: leash kills the session that we lead when all is done.
#
# Why what we kill by cannot be somebody else's by then:
#   CGROUP   has a random name, and a cgroup that has processes cannot be removed.
#   JOB      a number is not given away while its process has not been reaped, and we compare its time of start.
#   SESSION  a number is not given away either while it is that of a session with processes in it. So it stays ours as long as
#            the job or anything it left is there, and when the tree was seen empty leash says so before it does anything else.
#            If leash dies in between: who gets the number next is its leader, and has another time of start.
#   PID      is no child of the keeper: its number can be given away at any time. So it is START that counts, and not what we see
#            when we come to look. It is compared before each signal, as is that of each descendant, which we note within
#            milliseconds of having seen its parent: see MARKER.
#   MARKER   is random; we look and kill within milliseconds, and the kernel hands out a number again only after it has gone
#            round the circle of all numbers.
marker=$1 directory=$2
shift 2
job='' job_start='' session='' cgroup='' until='' ticket='' timer='' over='' was_killed=''
# PID:START of what is kept and of its descendants that were seen; and the keeper, which may be one of them, as we may.
kept='' signal='' keeper=$PPID
LC_ALL=C

# A service manager or a terminal may signal all at once; we end when leash says so. A write to a dead leash must not end us.
trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU

# Boot time, suspend included, in hundredths of a second. Without /proc/uptime, leash counts from the epoch, too; the second
# that has begun counts as over: early is safe.
look_at_clock() {
  if [ -r /proc/uptime ]; then
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
  else
    now=$(($(date +%s) + 1))00
  fi
}

# sleep(1) does not count suspend: hence a look every second. Fails when the time has come.
nap() {
  look_at_clock
  left=$((until - now))
  [ "$left" -gt 0 ] || return 1
  if [ "$left" -ge 100 ]; then nap=1; else nap=0.$((left / 10))$((left % 10)); fi
  sleep "$nap" &
  wait "$!"
}

# A timer that is called off takes its sleep with it: an orphan would be a zombie for ever where the first process buries nobody.
end_tree_in_time() {
  trap 'kill -KILL "$!"; wait; exit' USR1
  while nap; do :; done
  trap '' USR1
  end_tree && echo "ended $now"
}

# What is due goes on.
call_off() {
  if [ -n "$timer" ]; then
    kill -USR1 "$timer"
    kill -CONT "$timer"
  fi
}

# Leaves in $now when we began the looks that found it empty. Fails if what is kept outlives KILL for a second: it sleeps
# uninterruptibly, and has been killed when it wakes, or is another user's. No clean end depends on it.
end_tree() {
  rounds=0
  while
    kill_tree
    look_at_clock
    ! is_empty
  do
    rounds=$((rounds + 1))
    if [ -n "$kept" ] && [ "$rounds" = 50 ]; then return 1; fi
    sleep 0.02
  done
}

kill_tree() {
  if [ -n "$over" ]; then return; fi
  if [ -n "$kept" ]; then
    kill_kept
    return
  fi
  if [ -n "$cgroup" ]; then
    echo 1 >"$cgroup/cgroup.kill"
    # That passes over a process whose first thread has ended (seen on Linux 6.18). The others need the processors to end.
    if [ -z "$was_killed" ]; then
      was_killed=1
      return
    fi
    for file in "$cgroup/cgroup.procs" "$cgroup"/*/cgroup.procs; do
      if [ -r "$file" ]; then while read -r pid; do kill -KILL "$pid"; done <"$file"; fi
    done
    return
  fi
  forget_strangers
  if [ -n "$session" ]; then kill -KILL "-$session"; fi
  sweep
}

is_empty() {
  if [ -n "$over" ]; then return 0; fi
  if [ -n "$kept" ]; then
    ! is_kept_alive
    return
  fi
  if [ -n "$cgroup" ]; then
    # What is gone was empty.
    [ -d "$cgroup" ] || return 0
    while read -r key value; do [ "$key" = populated ] && return "$value"; done <"$cgroup/cgroup.events"
    return 1
  fi
  # What was becoming another program, and had no environment for a moment, has one in the second look.
  if sweep && sleep 0.01 && sweep; then
    ! has_hidden_members
  else
    return 1
  fi
}

# Kills every member, then those among what has started since, until nothing has: who is alive then was alive when we looked at
# it. To look at what is new is fast, as it must be where a member forks the next and ends. Where strangers fork without end,
# we give up in the end. Succeeds if none was found.
sweep() {
  found=''
  see_newest
  set -- /proc/[0-9]*
  for look in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    find_members "$@" || found=1
    for pid in $members; do kill -KILL "$pid"; done
    last=$newest
    see_newest
    if [ "$newest" -gt "$last" ] && [ "$newest" -lt $((last + 5000)) ]; then
      set --
      while [ "$last" -lt "$newest" ]; do
        last=$((last + 1))
        if [ -d "/proc/$last" ]; then set -- "$@" "/proc/$last"; fi
      done
    else
      # The numbers have gone round.
      set -- /proc/[0-9]*
    fi
    if [ $# = 0 ] || [ -z "$newest" ]; then break; fi
  done
  [ -z "$found" ]
}

# The number that was given away last; empty where there is no /proc.
see_newest() { newest='' && read -r _ _ _ _ newest </proc/loadavg; }

# Where /proc shows only the user's own processes, one that changed its user is seen by the kernel's refusal alone.
has_hidden_members() {
  case ${session:+$(kill -0 "-$session" 2>&1)} in *'not permitted'*) ;; *) return 1 ;; esac
}

# Sets $members to those among these directories of /proc; succeeds if there is none. Threads are looked at, as a process whose
# first thread has ended looks like a zombie. A zombie is dead, and has no environment. In "pid (comm) state parent group session ...", comm may hold anything: what
# counts comes after the last parenthesis.
find_members() {
  members=
  if [ -d /proc/self/task ]; then
    environs='' stats=''
    for file; do environs="$environs $file/task/*/environ" stats="$stats $file/task/*/stat"; done
    for file in $(
      grep -lsF "$marker=" $environs
      if [ -n "$session" ]; then
        grep -ls -e ") [^ZX] [0-9]* $session [^)]*$" -e ") [^ZX] [0-9]* [0-9]* $session [^)]*$" $stats
      elif [ -n "$job" ]; then
        list_tree "/proc/$job/task/$job/stat"
      fi
    ); do
      file=${file#/proc/}
      members="$members ${file%%/*}"
    done
  elif [ -n "$job" ]; then
    case $(kill -0 "${session:+-}$job" 2>&1) in *'o such process'*) ;; *) members=$job ;; esac
  fi
  [ -z "$members" ]
}

# The files in /proc of live processes and of all that descends from them. Without a file grep would read our orders.
list_tree() {
  if [ $# = 0 ]; then return; fi
  for file in $(grep -ls ') [^ZX] [^)]*$' "$@"); do
    echo "$file"
    file=${file#/proc/}
    list_tree $(grep -ls ") [^ZX] ${file%%/*} [^)]*$" /proc/[0-9]*/stat)
  done
}

# $start: when a process started, in clock ticks since boot; empty if it is not there. A name may have several lines.
see_start() {
  start='' stat=''
  [ -r "/proc/$1/stat" ] && while read -r line; do stat=$line; done <"/proc/$1/stat" || return 0
  set -- ${stat##*) }
  state=$1 threads=${18} start=${20}
}

forget_strangers() {
  see_start "$job"
  if [ -n "$start" ] && [ "$start" != "$job_start" ]; then job='' session=''; fi
}

obey() {
  case $1 in
    keep)
      command -v awk >/dev/null || exit 1
      . "${0%/*}/kept.sh"
      kept=" $2:$3" signal=$4
      echo ready
      ;;
    job)
      job=$2
      see_start "$job"
      job_start=$start
      if [ "$3" = leads ]; then session=$job; fi
      if [ "$4" = inside ]; then
        echo "$job" >"$directory/cgroup.procs" || {
          echo refused
          return
        }
        cgroup=$directory
      fi
      echo ready
      ;;
    until)
      # At once, as leash waits: if the fork fails we end, and leash hears of that.
      echo "until $2"
      if [ -n "$timer" ]; then
        # An end that is due is not called off.
        look_at_clock
        if [ "$now" -lt "$until" ]; then
          call_off
          wait "$timer"
          timer=
        fi
      fi
      if [ -z "$timer" ]; then
        until=$2
        end_tree_in_time &
        timer=$!
      fi
      ;;
    see)
      see_living
      echo seen
      ;;
    ticket) ticket=$2 ;;
    empty)
      over=1
      call_off
      ;;
  esac
}

exec <&3 >&3 3>&- || exit 1
# Without it a tree would look empty.
command -v grep >/dev/null || exit 1
# A shorter marker would be in the environment of others.
case $marker in LEASH_RUN_????????????????) ;; *) exit 1 ;; esac
while read -r order first second third; do obey "$order" "$first" "$second" "$third"; done

if [ -n "$kept" ]; then end_kept_in_time; elif [ -n "$job" ]; then end_tree; fi
# Also one that leash had just made.
if [ -d "$directory" ]; then find "$directory" -depth -type d -exec rmdir {} +; fi
if [ -n "$timer" ]; then kill -KILL "$timer"; fi
if [ -n "$ticket" ]; then exec "$@" "$ticket" </dev/null >/dev/null; fi
