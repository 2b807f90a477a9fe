import fc from 'fast-check'
import {expect, test} from 'vitest'
import {Actor} from './Actor.fixture.ts'
import {locksOf, nothingLeft} from './severalLocks.fixture.ts'
import {World, notAtAll} from './world.fixture.ts'

const names = ['a', 'b', 'c'] as const

interface Wanting {
  what: 'wait' | 'try'
  wants: readonly string[]
  answerLost: boolean
}

type Step = Wanting | {what: 'end' | 'giveUp' | 'takeAway'; who: number} | {what: 'pass'; ms: number}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constantFrom('wait', 'wait', 'try'),
      wants: fc.shuffledSubarray([...names], {minLength: 1}),
      answerLost: fc.boolean(),
    }),
  },
  {weight: 6, arbitrary: fc.record({what: fc.constantFrom('end', 'giveUp', 'takeAway'), who: fc.nat(30)})},
  {
    weight: 5,
    arbitrary: fc.record({what: fc.constant('pass'), ms: fc.constantFrom(1, 60, 499, 5000, 21_000)}),
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
    switch (now.what) {
      case 'wait':
      case 'try':
        return this.#want(now)
      case 'takeAway': {
        // Any one ticket, be its owner a holder or a waiter.
        const {etcd} = this.world
        const tickets = etcd.under('leash/lock/')
        return etcd.remove(tickets[now.who % Math.max(1, tickets.length)]?.key ?? '')
      }
      case 'giveUp':
      case 'end': {
        const actor = this.actors[now.who % Math.max(1, this.actors.length)]
        if (now.what === 'giveUp' && actor?.waits === true) actor.client.interrupt('enough')
        if (now.what === 'end' && actor?.runs === true) actor.end()
      }
    }
  }

  #want({what, wants, answerLost}: Wanting): void {
    const [first = 'a', ...others] = wants
    const wish = {...locksOf(first, ...others), ...(what === 'try' && {wait: notAtAll})}
    this.actors.push(new Actor(this.world, {...wish, answerLost}))
  }

  /** Those who wait or run. */
  get active(): Actor[] {
    return this.actors.filter(({waits, runs}) => waits || runs)
  }

  /** Those who ran under this lock, in the order of their beginnings. */
  underLock(name: string): Actor[] {
    return this.actors
      .filter(({lock}) => lock?.places.some(({keys}) => keys.name === name))
      .sort((one, other) => one.fromMs - other.fromMs || one.toMs - other.toMs)
  }
}

test('under no lock do two run at once, whatever sets of locks they want, and somebody always gets on until nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, {maxLength: 30}), async (steps) => {
      const model = new Model()
      for (const one of steps) await model.take(one)
      for (let active = model.active; active.length > 0;) {
        // Each renews once in 7.5 s, and notices then what was taken away from it.
        await model.take({what: 'pass', ms: 10_000})
        const running = model.active.filter(({runs}) => runs)
        const getsOn = running.length > 0 || model.active.length < active.length
        expect(getsOn, 'nobody runs, and somebody waits').toBe(true)
        for (const actor of running) actor.end()
        await model.world.time.advance(0)
        active = model.active
      }
      await model.world.time.advance(5000)
      for (const name of names) {
        const ran = model.underLock(name)
        ran.forEach((actor, index) => {
          const next = ran[index + 1]
          if (next !== undefined) expect(next.fromMs).toBeGreaterThanOrEqual(actor.toMs)
        })
      }
      expect(model.world.etcd.leases).toEqual([])
      expect(model.world.etcd.under('leash/lock/')).toEqual([])
      if (steps.every(({what}) => what !== 'takeAway')) nothingLeft(model.world)
    }),
    {numRuns: 300},
  )
})
