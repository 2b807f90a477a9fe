# A guard that kills nobody. It notes its orders in $DIRECTORY/orders, and answers when $DIRECTORY/answer is there.
while read -r order; do
  echo "$order" >>"$DIRECTORY/orders"
  until [ -e "$DIRECTORY/answer" ]; do sleep 0.01; done
  case $order in
    job*) echo ready ;;
    until*) echo "$order" ;;
  esac
done
