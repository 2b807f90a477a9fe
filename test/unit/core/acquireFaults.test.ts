import {describe, expect, test} from 'vitest'
import {World, forever, line, markKey, notAtAll, queuePrefix, watch} from './world.fixture.ts'

describe('etcd out of reach', () => {
  test.each([
    ['waiting for ever', forever],
    ['waiting for a minute', {kind: 'upTo', ms: 60_000} as const],
    ['waiting shorter than a connection may take', {kind: 'upTo', ms: 5000} as const],
    ['not waiting', notAtAll],
  ])(
    'before there is a ticket is an error after the connect timeout, with its cause (%s)',
    async (_, wait) => {
      const world = new World()
      const us = world.client()
      us.store.unreachable = 'refused'
      const acquiring = watch(us.acquire({wait}))
      const byMs = wait.kind === 'upTo' ? Math.min(wait.ms, 10_000) : 10_000
      await world.time.advance(byMs - 1)
      expect(acquiring.pending).toBe(true)
      await world.time.advance(1001)
      expect(acquiring.error).toMatchObject({
        name: 'LeashError',
        code: 'unavailable',
        message: 'etcd cannot be reached: fake: refused',
      })
    },
  )

  test('for less than the connect timeout is waited out', async () => {
    const world = new World()
    const us = world.client()
    us.store.unreachable = 'silent'
    const acquiring = watch(us.acquire({wait: notAtAll}))
    await world.time.advance(9000)
    us.store.unreachable = undefined
    await world.time.advance(1000)
    expect(acquiring.value?.is).toBe('held')
  })

  test('while we wait in the queue is waited out, however long', async () => {
    const world = new World()
    const lock = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    us.store.unreachable = 'silent'
    await world.time.advance(25_000)
    us.store.unreachable = undefined
    await lock.release(true)
    await world.time.advance(1000)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['waiting', 'acquired'])
  })

  test('while we wait, until our lease has died: we queue again, at the end, and say so', async () => {
    const world = new World()
    await world.client().held()
    const [us, other] = [world.client(), world.client()]
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    void other.acquire()
    us.store.unreachable = 'silent'
    await world.time.advance(120_000)
    expect(world.queue).toHaveLength(2)
    us.store.unreachable = undefined
    await world.time.advance(10_000)
    expect(acquiring.pending).toBe(true)
    expect(us.told).toEqual(['waiting', 'requeued', 'waiting'])
    expect(world.queue).toHaveLength(3)
    expect(world.etcd.leases).toHaveLength(3)
  })
})

describe('a waiter whose ticket is gone', () => {
  test('does not take an empty queue for its turn: it queues again, and lets the jobs die whose tickets and marks have gone as well', async () => {
    const world = new World()
    const lock = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    const [, own] = world.queue
    world.etcd.remove(lock.places[0].ticket.key, own?.key ?? '', markKey)
    await world.time.advance(499)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(1)
    expect(acquiring.value).toMatchObject({is: 'held'})
    expect(us.told).toEqual(['waiting', 'requeued', 'settling', 'acquired'])
    expect(world.queue).toHaveLength(1)
    expect(world.queue[0]?.key).not.toBe(own?.key)
  })

  test('notices while somebody is still ahead, and queues again behind who came meanwhile', async () => {
    const world = new World()
    await world.client().held()
    const us = world.client()
    void us.acquire()
    await world.time.advance(1000)
    world.etcd.remove(world.queue[1]?.key ?? '')
    world.etcd.put({key: `${queuePrefix}foreign`, value: ''})
    await world.time.advance(8000)
    expect(us.told).toEqual(['waiting', 'requeued', 'waiting'])
    expect(world.queue.map(({key}) => key)[1]).toBe(`${queuePrefix}foreign`)
    expect(world.queue).toHaveLength(3)
  })
})

describe('too little left of the lease', () => {
  test('for a child that starts now: renews first', async () => {
    const world = new World()
    const us = world.client()
    const slackMs = line.entitledMs - line.startNeedsMs
    us.store.latency = {thereMs: slackMs / 2, backMs: 100}
    const acquiring = watch(us.acquire({connectTimeoutMs: 60_000}))
    await world.time.advance(slackMs + 200)
    expect(acquiring.pending).toBe(true)
    us.store.latency = {thereMs: 10, backMs: 10}
    await world.time.advance(20_000)
    expect(us.store.arrived).toContain('renew')
    expect(acquiring.value?.is).toBe('held')
  })

  test('for a waiter at its turn: renews first, over an outage', async () => {
    const world = new World()
    const lock = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    us.store.unreachable = 'silent'
    await world.time.advance(29_000)
    await lock.release(true)
    us.store.unreachable = undefined
    await world.time.advance(10_000)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    const {reason} = acquiring.value.lock.lost as {reason: unknown}
    expect(reason).toBeUndefined()
    expect(us.store.arrived).toContain('renew')
  })

  test('never keeps a lock from being held whose settings were accepted, if etcd answers', async () => {
    const world = new World()
    const us = world.client()
    us.store.latency = {thereMs: 1, backMs: 1}
    // 2.5 s + 1.25 s + 5.9 s + 0.25 s is all that 10 s entitle to.
    const acquiring = watch(us.acquire({ttlMs: 10_000, terms: {lockDelayMs: 0, graceMs: 5900}}))
    await world.time.advance(1000)
    expect(acquiring.value?.is).toBe('held')
  })
})

describe('a lost answer', () => {
  test('after the grant: the lease counts from the first attempt', async () => {
    const world = new World()
    const us = world.client()
    us.store.loseAnswer('grant')
    const acquiring = watch(us.acquire())
    await world.time.advance(100)
    expect(us.store.arrived).toEqual(['grant', 'grant', 'enqueue'])
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    const {lock} = acquiring.value
    us.store.unreachable = 'silent'
    await world.time.advance(line.termAfterMs - 100 - 1)
    expect(lock.lost.aborted).toBe(false)
    await world.time.advance(2)
    expect(lock.lost.reason).toMatchObject({sentAtMs: 0})
    expect(world.etcd.leases).toHaveLength(1)
  })

  test.each([
    ['waiting', forever],
    ['not waiting', notAtAll],
  ])('after the ticket was put: the own ticket is found, and is no predecessor (%s)', async (_, wait) => {
    const world = new World()
    const us = world.client()
    us.store.loseAnswer('enqueue')
    const lock = await us.held({wait})
    expect(world.queue).toMatchObject([{key: lock.places[0].ticket.key}])
    expect(us.told).toEqual(['acquired'])
  })

  test('after the ticket was put behind a holder, who left meanwhile: a mark stands all the same', async () => {
    const world = new World()
    const holding = await world.client().held()
    const us = world.client()
    us.store.loseAnswer('enqueue')
    const acquiring = watch(us.acquire())
    await world.time.advance(50)
    await holding.release(true)
    await world.time.advance(1000)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    acquiring.value.lock.childStarted()
    await world.time.advance(0)
    expect(world.mark).toBeDefined()
  })

  test('after which the lease has died: another lease is taken, and only one ticket is left', async () => {
    const world = new World()
    const us = world.client()
    us.store.loseAnswer('enqueue')
    const acquiring = watch(us.acquire())
    await world.time.advance(50)
    for (const lease of world.etcd.leases) world.etcd.revoke(lease)
    await world.time.advance(1000)
    expect(acquiring.value?.is).toBe('held')
    expect(world.queue).toHaveLength(1)
    expect(world.etcd.leases).toHaveLength(1)
  })
})

describe('giving up before anything ran', () => {
  test('while the ticket is being put leaves neither ticket nor lease', async () => {
    const world = new World()
    const us = world.client()
    us.store.holdAnswers('enqueue')
    const acquiring = watch(us.acquire())
    await world.time.advance(0)
    us.interrupt('SIGINT')
    await world.time.advance(0)
    expect(acquiring.error).toBe('SIGINT')
    expect(world.queue).toEqual([])
    expect(world.etcd.leases).toEqual([])
  })

  test('while the ticket is being put leaves no mark either: nobody held anything', async () => {
    const world = new World()
    const us = world.client()
    us.store.holdAnswers('enqueue')
    void us.acquire().catch(() => {})
    await world.time.advance(0)
    us.interrupt('SIGINT')
    await world.time.advance(0)
    expect(world.etcd.get(markKey)).toBeUndefined()
  })

  test('while a vanished predecessor settles leaves its mark: the next one must settle too', async () => {
    const world = new World()
    await world.vanish()
    const us = world.client()
    void us.acquire().catch(() => {})
    await world.time.advance(100)
    us.interrupt('SIGINT')
    await world.time.advance(0)
    const next = world.client()
    await next.held()
    expect(next.told).toEqual(['settling', 'acquired'])
  })

  test('at the very moment at which the own lease is lost rejects with the reason of the signal', async () => {
    const world = new World()
    await world.client().held()
    const us = world.client()
    const deletion = us.store.deletion.bind(us.store)
    us.store.deletion = (key, after, signal) => {
      signal.addEventListener('abort', () => us.interrupt('SIGINT'))
      return deletion(key, after, signal)
    }
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    const [, own] = world.queue
    world.etcd.remove(own?.key ?? '')
    await world.time.advance(7000)
    expect(acquiring.error).toBe('SIGINT')
    expect(us.told).toEqual(['waiting'])
  })
})
