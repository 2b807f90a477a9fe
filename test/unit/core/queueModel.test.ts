import fc from 'fast-check'
import {expect, test} from 'vitest'
import {Actor} from './Actor.fixture.ts'
import {World, fenceOf, notAtAll} from './world.fixture.ts'

const foreignKey = 'leash/lock/nightly/foreign'

type Step =
  | {what: 'wait' | 'try'; answerLost: boolean}
  | {what: 'end' | 'revoked' | 'giveUp' | 'cutOff'; who: number}
  | {what: 'foreigner' | 'healed' | 'compaction'}
  | {what: 'pass'; ms: number}

const step: fc.Arbitrary<Step> = fc.oneof(
  {weight: 4, arbitrary: fc.record({what: fc.constantFrom('wait', 'try'), answerLost: fc.boolean()})},
  {
    weight: 6,
    arbitrary: fc.record({what: fc.constantFrom('end', 'revoked', 'giveUp', 'cutOff'), who: fc.nat(9)}),
  },
  {weight: 3, arbitrary: fc.record({what: fc.constantFrom('foreigner', 'healed', 'compaction')})},
  {
    weight: 7,
    arbitrary: fc.record({what: fc.constant('pass'), ms: fc.constantFrom(1, 60, 499, 5000, 21_000, 31_000)}),
  },
)

class Model {
  readonly world = new World()
  readonly actors: Actor[] = []

  async take(now: Step): Promise<void> {
    if (now.what === 'pass') await this.world.time.advance(now.ms)
    else this.#act(now)
    await this.world.time.advance(0)
  }

  #act(now: Exclude<Step, {what: 'pass'}>): void {
    const {etcd} = this.world
    switch (now.what) {
      case 'wait':
      case 'try':
        this.actors.push(
          new Actor(this.world, {answerLost: now.answerLost, ...(now.what === 'try' && {wait: notAtAll})}),
        )
        break
      case 'foreigner':
        if (etcd.get(foreignKey) === undefined) etcd.put({key: foreignKey, value: ''})
        else etcd.remove(foreignKey)
        break
      case 'healed':
        for (const {client} of this.actors) client.store.unreachable = undefined
        break
      case 'compaction':
        etcd.compact()
        break
      case 'end':
      case 'revoked':
      case 'giveUp':
      case 'cutOff':
        this.#actOn(now.what, this.actors[now.who % Math.max(1, this.actors.length)])
    }
  }

  #actOn(what: 'end' | 'revoked' | 'giveUp' | 'cutOff', actor: Actor | undefined): void {
    if (actor === undefined) return
    const {store} = actor.client
    const key = actor.lock?.places[0].ticket.key
    const isGone = key !== undefined && this.world.etcd.get(key) === undefined
    if (what === 'giveUp' && actor.waits) actor.client.interrupt('enough')
    if (what === 'end' && actor.runs) actor.end()
    // That a ticket was taken away and the holder cannot hear of it, both at once, is beyond any lease.
    if (what === 'cutOff' && !(actor.runs && isGone)) store.unreachable = 'silent'
    if (what === 'revoked' && actor.runs && store.unreachable === undefined)
      this.world.etcd.revoke(actor.lock?.lease ?? 0n)
  }
}

test('no two children run at once, whoever comes, goes, gives up, loses its lease or is cut off', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, {maxLength: 30}), async (steps) => {
      const model = new Model()
      for (const one of steps) await model.take(one)
      const ran = model.actors
        .filter(({lock}) => lock !== undefined)
        .sort((one, other) => one.fromMs - other.fromMs || one.toMs - other.toMs)
      ran.forEach((actor, index) => {
        const next = ran[index + 1]
        if (next?.lock === undefined || actor.lock === undefined) return
        expect(next.fromMs).toBeGreaterThanOrEqual(actor.toMs)
        expect(fenceOf(next.lock)).toBeGreaterThan(fenceOf(actor.lock))
      })
    }),
    {numRuns: 300},
  )
})

test('whoever waits comes to hold the lock, in the order of the tickets, and a clean end leaves nothing', async () => {
  const ends = fc.array(fc.constantFrom('end', 'revoked'), {minLength: 1, maxLength: 8})
  await fc.assert(
    fc.asyncProperty(ends, async (all) => {
      const model = new Model()
      for (let count = 0; count < all.length; count++) await model.take({what: 'wait', answerLost: false})
      for (const [who, what] of all.entries()) {
        expect(model.actors.map(({runs}) => runs)).toEqual(all.map((_, index) => index === who))
        await model.take({what, who})
        await model.take({what: 'pass', ms: 1000})
      }
      expect(model.world.etcd.under('')).toEqual([])
      expect(model.world.etcd.leases).toEqual([])
    }),
    {numRuns: 50},
  )
})
