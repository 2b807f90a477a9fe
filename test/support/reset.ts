import type {Socket} from 'node:net'

/**
 * Ends a connection with RST, at once. Node's own resetAndDestroy() first flushes and shuts down, and if anybody
 * destroys the socket during that, libuv refuses the reset and the handle stays open for good: the process then spins
 * at its end. So this sets what resetAndDestroy() sets, and destroys. A socket that is being shut down is just closed, and so is
 * a Unix one, which knows no RST.
 */
export const reset = (socket: Socket): void => {
  if (socket.destroyed) return
  const isShuttingDown = socket.writableEnded && !socket.writableFinished
  const isTcp = socket.remotePort !== undefined
  if (isTcp && !isShuttingDown && !socket.connecting) Object.assign(socket, {resetAndClosing: true})
  socket.destroy()
}
