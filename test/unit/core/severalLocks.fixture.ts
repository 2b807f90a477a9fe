import {expect} from 'vitest'
import {inOrder, lockKeys} from '../../../src/lib/core/lockName.ts'
import type {Wish, World} from './world.fixture.ts'

/** A request's locks, by name. */
export const locksOf = (first: string, ...others: string[]): Required<Pick<Wish, 'locks'>> => ({
  locks: inOrder([lockKeys('leash/', first), ...others.map((name) => lockKeys('leash/', name))]),
})
export const both = locksOf('a', 'b')
export const three = locksOf('a', 'b', 'c')

/** The tickets of one lock, the first one first. */
export const queueOf = (world: World, name: string): string[] =>
  world.etcd.under(`leash/lock/${name}/`).map(({key}) => key)
/** The names of the locks whose mark stands. */
export const marks = (world: World): string[] =>
  world.etcd.under('leash/held/lock/').map(({key}) => key.slice('leash/held/lock/'.length))
/** No key and no lease is there. */
export const nothingLeft = (world: World): void => {
  expect({keys: world.etcd.under('').map(({key}) => key), leases: world.etcd.leases}).toEqual({
    keys: [],
    leases: [],
  })
}
