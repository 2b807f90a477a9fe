# In a pid namespace of its own: gives the number of a job that has ended to a stranger, lets leash die, and says what has
# become of the stranger. usage: recycle.sh GUARD DIRECTORY leads|shares
cd "$2" && mkfifo orders && : >answers || exit 1
sh "$1" LEASH_RUN_0123456789abcdef '' true <orders >answers &
guard=$!
exec 3>orders
setsid sleep 1000 3>&- &
job=$!
echo "job $job $3 none" >&3
until grep -q ready answers; do sleep 0.01; done
kill -KILL "$job"
wait "$job"
# Times of start are counted in hundredths of a second.
sleep 0.05
echo "$((job - 1))" >/proc/sys/kernel/ns_last_pid
setsid sleep 1000 3>&- &
stranger=$!
[ "$stranger" = "$job" ] || exit 1
exec 3>&-
wait "$guard"
stat=
read -r stat <"/proc/$stranger/stat"
case $stat in *') S '*) echo spared ;; *) echo killed ;; esac
