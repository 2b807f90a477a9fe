# A guard that kills nobody. It notes its orders in $DIRECTORY/orders, and answers when $DIRECTORY/answer is there, in pieces.
exec <&3 >&3 3>&-

answer() {
  printf %s "${1%???}"
  sleep 0.01
  echo "${1#"${1%???}"}"
}

while read -r order; do
  echo "$order" >>"$DIRECTORY/orders"
  until [ -e "$DIRECTORY/answer" ]; do
    [ -d "$DIRECTORY" ] || exit
    sleep 0.01
  done
  case $order in
    job* | keep*) answer ready ;;
    until*) answer "$order" ;;
    see) answer seen ;;
  esac
done
