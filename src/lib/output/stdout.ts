import {constants, fstatSync, openSync, write} from 'node:fs'
import {LeashError} from '../core/errors.ts'

const stdout = 1
/** Before a full pipe is tried again. */
const fullPipeMs = 20

/** Nobody reads what we print. */
export class StdoutClosed extends Error {
  override readonly name = 'StdoutClosed'
}

/**
 * Prints to stdout in order, without waiting: Node's own stream would stand still with a reader that has stalled, deaf to
 * signals.
 */
export class Printer {
  readonly #descriptor = openStdout()
  readonly #failed = new AbortController()
  #last: Promise<void> = Promise.resolve()

  /** Aborted with `StdoutClosed`, or with `LeashError` `usage` if what is printed cannot be kept. */
  get failed(): AbortSignal {
    return this.#failed.signal
  }

  print(text: string | Uint8Array): void {
    const bytes = Buffer.from(text)
    this.#last = this.#last.then(() => this.#write(bytes))
  }

  /**
   * Resolves when all is printed.
   *
   * @throws the reason of `failed`
   */
  async printed(): Promise<void> {
    await this.#last
    this.#failed.signal.throwIfAborted()
  }

  async #write(bytes: Buffer): Promise<void> {
    for (let rest = bytes; rest.length > 0 && !this.#failed.signal.aborted;) {
      const {error, length} = await new Promise<{error: NodeJS.ErrnoException | null; length: number}>(
        (resolve) => write(this.#descriptor, rest, (error, length) => resolve({error, length})),
      )
      if (error === null) rest = rest.subarray(length)
      else if (error.code === 'EAGAIN') await new Promise((resolve) => setTimeout(resolve, fullPipeMs))
      else this.#failed.abort(reasonOf(error))
    }
  }
}

/**
 * A pipe once more, to write to without blocking: Node cannot end while a thread of it waits in a write. To make stdout itself
 * non-blocking would make it so for all who share it.
 */
function openStdout(): number {
  try {
    if (fstatSync(stdout).isFIFO())
      return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    // Another user's pipe, or one that nobody reads: then the write says so.
  }
  return stdout
}

function reasonOf(error: NodeJS.ErrnoException): Error {
  if (error.code === 'EPIPE') return new StdoutClosed('nobody reads stdout')
  const message = `stdout cannot be written (${error.code ?? error.message})`
  return new LeashError('usage', message, 'let it go where there is room', {cause: error})
}
