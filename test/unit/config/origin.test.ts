import {expect, test} from 'vitest'
import {describeOrigin, type Origin} from '../../../src/lib/config/origin.ts'

test.each<[Origin, string]>([
  [{kind: 'flag', name: '--ttl'}, '--ttl'],
  [{kind: 'environment', variable: 'LEASH_TTL'}, 'LEASH_TTL'],
  [{kind: 'file', path: '/etc/leash/leash.env', variable: 'LEASH_TTL'}, 'LEASH_TTL in /etc/leash/leash.env'],
  [{kind: 'default'}, 'default'],
])('says where %j is', (origin, text) => {
  expect(describeOrigin(origin)).toBe(text)
})
