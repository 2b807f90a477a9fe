import {type Key, keysUnder} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'

/** Resolves with the tickets, the first one first, when there are so many. */
export const standing = ({url}: {url: string}, queue: string, length: number): Promise<Key[]> =>
  until(
    `${length} to stand in ${queue}`,
    async () => {
      const tickets = await keysUnder(url, `${queue}/`)
      return tickets.length === length && tickets
    },
    {withinMs: 20_000},
  )
