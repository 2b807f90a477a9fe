import {describe, expect, test} from 'vitest'
import {type OfficeOutcome, holdOffice} from '../../../src/lib/child/holdOffice.ts'
import {Interrupted} from '../../../src/lib/child/signalInbox.ts'
import type {HeldLock} from '../../../src/lib/core/heldLock.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import type {LockRequest} from '../../../src/lib/core/lock.ts'
import {electionKeys} from '../../../src/lib/core/lockName.ts'
import {settlingMs} from '../../../src/lib/core/mode.ts'
import {FakeStore} from '../../support/fakeStore.ts'
import {nothingLeft} from '../core/severalLocks.fixture.ts'
import {World, line, notAtAll, watch} from '../core/world.fixture.ts'
import {lockRequest} from './job.fixture.ts'

let leases = 0n

/** One who campaigns in a world. */
class Candidate {
  readonly store: FakeStore
  readonly elected: HeldLock[] = []
  readonly #world: World
  readonly #control = new AbortController()

  constructor(world: World) {
    this.#world = world
    this.store = new FakeStore(world.clock, world.etcd)
  }

  campaign(
    wish: Partial<LockRequest> = {},
    onElected: (lock: HeldLock) => void = (lock) => this.elected.push(lock),
  ): Promise<OfficeOutcome> {
    const request: LockRequest = {
      ...lockRequest(30_000, {lockDelayMs: 0}),
      locks: [electionKeys('leash/', 'api')],
      proposal: new TextEncoder().encode('here'),
      wait: {kind: 'upTo', ms: Infinity},
      ...wish,
    }
    const {clock} = this.#world
    const newLeaseId = (): LeaseId => ++leases as LeaseId
    const ports = {store: this.store, clock, newLeaseId, tell: () => {}, showQueue: false}
    return holdOffice(request, ports, this.#control.signal, onElected)
  }

  tellToEnd(signal: NodeJS.Signals): void {
    this.#control.abort(new Interrupted(signal))
  }
}

const tickets = (world: World): string[] => world.etcd.under('leash/election/api/').map(({value}) => value)

/** A world with a leader in it. */
const ledWorld = async (): Promise<{world: World; leader: Candidate; end: Promise<OfficeOutcome>}> => {
  const world = new World()
  const leader = new Candidate(world)
  const end = leader.campaign()
  await world.time.advance(1000)
  expect(leader.elected).toHaveLength(1)
  return {world, leader, end}
}

describe('a leadership under which nothing is run', () => {
  test('lasts until it is told to end, is given back then, and nothing is left', async () => {
    const {world, leader, end} = await ledWorld()
    const watched = watch(end)
    await world.time.advance(600_000)
    expect(watched.pending).toBe(true)
    expect(tickets(world)).toEqual(['here'])
    leader.tellToEnd('SIGINT')
    expect(await world.time.passing(end)).toEqual({
      outcome: 'resigned',
      signal: 'SIGINT',
      release: 'removed',
    })
    nothingLeft(world)
  })

  test('is lost as soon as its ticket is deleted', async () => {
    const {world, leader, end} = await ledWorld()
    const watched = watch(end)
    world.etcd.remove(leader.elected[0]?.places[0].ticket.key ?? '')
    await world.time.advance(0)
    expect(watched.value).toEqual({outcome: 'lost', cause: {kind: 'ticketGone'}})
  })

  test('whose ticket was deleted is followed half a second later, as what relied on it may be at work', async () => {
    const {world, leader, end} = await ledWorld()
    world.etcd.remove(leader.elected[0]?.places[0].ticket.key ?? '')
    await world.time.advance(0)
    await end
    const next = new Candidate(world)
    void next.campaign()
    await world.time.advance(settlingMs - 1)
    expect(next.elected).toEqual([])
    await world.time.advance(1)
    expect(next.elected).toHaveLength(1)
  })

  test('that is lost for want of renewals gives nothing back before its lease has run out, though etcd answers again', async () => {
    const {world, leader, end} = await ledWorld()
    const [{ticket}] = leader.elected[0]?.places ?? [{}]
    leader.store.unreachable = 'silent'
    leader.elected[0]?.lost.addEventListener('abort', () => (leader.store.unreachable = undefined))
    await world.time.passing(end)
    expect(world.etcd.leases).toEqual([ticket?.lease])
    await world.time.advance(1000)
    expect(tickets(world)).toEqual(['here'])
    await world.time.advance(line.ttlMs)
    expect(tickets(world)).toEqual([])
  })

  test('is lost at the moment of TERM when no renewal is confirmed, while it is still ours', async () => {
    const {world, leader, end} = await ledWorld()
    leader.store.unreachable = 'silent'
    const lock = leader.elected[0]
    const endedMs = new Promise<number>((resolve) =>
      lock?.lost.addEventListener('abort', () => resolve(world.clock.elapsedMs() - lock.sentAtMs)),
    )
    expect(await world.time.passing(end)).toMatchObject({outcome: 'lost', cause: {kind: 'unconfirmed'}})
    expect(await endedMs).toBeGreaterThanOrEqual(line.termAfterMs)
    expect(await endedMs).toBeLessThan(line.killAfterMs)
  })

  test('that was lost in a suspend was not resigned, though a signal is the first to say something', async () => {
    const {world, leader, end} = await ledWorld()
    world.time.suspend(3_600_000)
    leader.tellToEnd('SIGTERM')
    expect(await world.time.passing(end)).toMatchObject({outcome: 'lost', cause: {kind: 'unconfirmed'}})
  })

  test('whose ticket was found gone when it was to be given back was lost before, and not resigned', async () => {
    const world = new World()
    const leader = new Candidate(world)
    const end = leader.campaign()
    // Nobody watches yet.
    await world.time.advance(50)
    world.etcd.remove(leader.elected[0]?.places[0].ticket.key ?? '')
    leader.tellToEnd('SIGTERM')
    expect(await world.time.passing(end)).toEqual({outcome: 'lost', cause: {kind: 'ticketGone'}})
    nothingLeft(world)
  })

  test('is given back if nobody can be told of it', async () => {
    const world = new World()
    const error = new Error('nobody reads')
    const campaigning = new Candidate(world).campaign({}, () => {
      throw error
    })
    await expect(world.time.passing(campaigning)).rejects.toBe(error)
    nothingLeft(world)
  })
})

describe('a candidate behind a leader', () => {
  test('leads when that has resigned', async () => {
    const {world, leader, end} = await ledWorld()
    const next = new Candidate(world)
    const nextEnd = next.campaign()
    await world.time.advance(60_000)
    expect(next.elected).toEqual([])
    leader.tellToEnd('SIGTERM')
    await world.time.passing(end)
    await world.time.advance(0)
    expect(next.elected).toHaveLength(1)
    next.tellToEnd('SIGTERM')
    expect(await world.time.passing(nextEnd)).toMatchObject({outcome: 'resigned'})
    nothingLeft(world)
  })

  test('withdraws when it is told to end, and says how long it has waited', async () => {
    const {world} = await ledWorld()
    const waiter = new Candidate(world)
    const end = waiter.campaign()
    await world.time.advance(5000)
    expect(tickets(world)).toHaveLength(2)
    waiter.tellToEnd('SIGTERM')
    expect(await world.time.passing(end)).toEqual({
      outcome: 'interrupted',
      signal: 'SIGTERM',
      waitedMs: 5000,
    })
    expect(tickets(world)).toHaveLength(1)
  })

  test.each<[string, LockRequest['wait'], OfficeOutcome['outcome']]>([
    ['not to wait', notAtAll, 'contended'],
    ['to wait for a while', {kind: 'upTo', ms: 3000}, 'waitedOut'],
  ])('that was %s gives up, and leaves no ticket', async (_, wait, outcome) => {
    const {world} = await ledWorld()
    const late = new Candidate(world)
    expect((await world.time.passing(late.campaign({wait}))).outcome).toBe(outcome)
    expect(late.elected).toEqual([])
    expect(tickets(world)).toHaveLength(1)
  })
})
