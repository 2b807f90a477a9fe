#!/bin/sh
# `leash campaign` behind the command line of `leash run`: the lock's name is the election's. It becomes leash.
# usage: campaign.sh LEASH run --with-lock NAME [OPTION VALUE]... -- COMMAND...
leash=$1 name=$4
shift 4
exec "$leash" campaign "$name" "$@"
