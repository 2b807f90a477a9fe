# The part of bin/leash.cjs that sh runs: it notes what Node is about to lose, and then becomes Node, with this file as its
# script. docs/adr/0008 says what is lost and why this way. Node finds its file also if that was started by a link, which sh
# could not follow by itself.

command -v node >/dev/null || {
  echo 'leash: node was not found; install Node.js 20.19 or newer, or add its directory to PATH' >&2
  exit 127
}

# Without /proc there is nothing to note, and Node goes on with what it has left.
if [ -r /proc/self/stat ]; then
  # bash and busybox ignore QUIT by themselves; with a trap, only if they were told to.
  trap 'exit 131' QUIT
  read -r leash_stat </proc/self/stat

  # What acquire prints must reach somebody. Node would open /dev/null for a closed stdout, and what is written would vanish.
  [ "$1" != acquire ] || [ -L /proc/self/fd/1 ] || exec 1</dev/null

  # A descriptor that nobody uses; empty if there is none.
  for leash_fd in 9 8 7 6 5 4 3 ''; do
    [ -L "/proc/self/fd/$leash_fd" ] || break
  done

  # The witness is a copy of this shell as it was started: /proc has its environment byte by byte, its descriptors and its
  # limits for as long as it lives. It ends when nobody has the other end of its pipe any more, so when Node closes it,
  # or dies however it may. It is a child of a child, so that init buries it. The pipe is that of a here-document; if a
  # shell makes a file of it, the witness ends at once. "command" keeps the shell alive if one of these fails.
  # Only what runs a command has anybody to hand that on to.
  [ "$leash_fd" ] && case $1 in run | campaign) ;; *) false ;; esac && eval "
    {
      command exec $leash_fd<<E && command exec $leash_fd<>/proc/self/fd/$leash_fd
x
E
    } 2>/dev/null &&
    leash_witness=\$(
      {
        exec $leash_fd</proc/self/fd/$leash_fd <&$leash_fd
        while read -r _; do :; done
      } >/dev/null 2>&1 &
      echo \$!
    )" || leash_witness=0

  # Node would take a channel to the parent for its own and read the job's messages. The witness still has the variable.
  [ "$leash_witness" = 0 ] || unset NODE_CHANNEL_FD
  export LEASH_LAUNCH="$leash_witness $leash_fd $leash_stat"
fi

exec node "$0" "$@"
