import type {Socket} from 'node:net'

/** Longer than an order with as many locks as there may be, with names of any length. */
const longestLine = 1024 * 1024

/** The lines that come over a socket, without their ends; an unfinished last one is dropped, and an endless one ends it. */
export async function* readLines(socket: Socket): AsyncGenerator<string, undefined> {
  let text = ''
  socket.setEncoding('utf8')
  try {
    for await (const more of socket as AsyncIterable<string>) {
      text += more
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        yield text.slice(0, end)
        text = text.slice(end + 1)
      }
      if (text.length > longestLine) return undefined
    }
  } catch {
    // The other end is gone.
  }
  return undefined
}
