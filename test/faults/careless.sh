#!/bin/sh
# A lock tool that lets its job run on when the lease is lost, and leaves a key and a lease behind: etcdctl lock,
# behind the command line of leash.
# usage: careless.sh ETCDCTL run --with-lock NAME --ttl Nms --endpoints URL --status-file F --prefix P -- COMMAND...
etcdctl=$1
shift 2
while [ "$1" != -- ]; do
  case $1 in
    --with-lock) name=$2 ;;
    --ttl) ttl=$((${2%ms} / 1000)) ;;
    --endpoints) ETCDCTL_ENDPOINTS=$2 ;;
    --prefix) prefix=$2 ;;
  esac
  shift 2
done
shift
export ETCDCTL_ENDPOINTS ETCDCTL_API=3
"$etcdctl" put "${prefix}stray" "" >&2
"$etcdctl" lease grant 600 >&2
exec "$etcdctl" lock --ttl "$ttl" "${prefix}lock/$name" -- \
  sh -c 'LEASH_KEY=$ETCD_LOCK_KEY LEASH_LEASE=${ETCD_LOCK_KEY##*/} exec "$@"' sh "$@"
