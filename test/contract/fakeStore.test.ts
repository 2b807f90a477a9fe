import {Clock} from '../../src/lib/core/clock.ts'
import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {FakeClock} from '../support/fakeClock.ts'
import {FakeStore} from '../support/fakeStore.ts'
import {type Harness, storeContract} from './storeContract.ts'

storeContract('the fake store', () => {
  const time = new FakeClock()
  const clock = new Clock(time)
  const store = new FakeStore(clock)
  const {etcd} = store
  const harness: Harness = {
    store,
    clock,
    passing: (promise) => time.passing(promise),
    put: (key, value, lease) => Promise.resolve(etcd.put({key, value, ...(lease !== undefined && {lease})})),
    remove: (key) => Promise.resolve(etcd.remove(key)),
    keysUnder: (prefix) =>
      Promise.resolve(
        etcd.under(prefix).map(({key, value, createRevision}) => ({key, value, createRevision})),
      ),
    leases: () => Promise.resolve(etcd.leases.map((lease) => leaseHex(lease as never))),
    compact: () => Promise.resolve(etcd.compact()),
    loseAnswer: (method) => store.loseAnswer(method),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return Promise.resolve(harness)
})
