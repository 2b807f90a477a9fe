import {expect} from 'vitest'
import {keysUnder, leases} from '../../support/etcdGateway.ts'

/** No key and no lease is there. */
export const nothingLeft = async ({url}: {url: string}): Promise<void> => {
  expect({keys: await keysUnder(url, ''), leases: await leases(url)}).toEqual({keys: [], leases: []})
}
