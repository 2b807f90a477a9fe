import {expect, test} from 'vitest'
import {deletionWatch} from '../../../src/lib/etcd/deletionWatch.ts'
import {type Watched, watch} from '../core/world.fixture.ts'
import {type Cluster, type FakeMember, clusterOf, refused} from './fakeMembers.ts'

type Answers = (answer: object) => boolean
interface Opened {
  from: string
  say: Answers
  break: () => void
}

/** Collects the watches that are opened at a member. */
function opened(member: FakeMember): Opened[] {
  const all: Opened[] = []
  member.onStream = (request, onAnswer) =>
    new Promise((resolve, reject) => {
      const {create_request} = request as {create_request: {key: Buffer; start_revision: string}}
      expect(create_request.key.toString()).toBe('q/a')
      all.push({
        from: create_request.start_revision,
        say: (answer) => {
          const isOver = onAnswer({canceled: false, compact_revision: '0', events: [], ...answer})
          if (isOver) resolve()
          return isOver
        },
        break: () => reject(refused()),
      })
    })
  return all
}

const event = (type: 'Put' | 'Delete', revision: number): object => ({
  events: [{type, kv: {key: Buffer.from('q/a'), mod_revision: String(revision)}}],
})

function open(cluster: Cluster, signal = new AbortController().signal): Watched<'deleted' | 'unknown'> {
  return watch(deletionWatch({key: Buffer.from('q/a')}, 40n, cluster, signal))
}

test('watches from the revision given, and resolves at a deletion above it', async () => {
  const cluster = clusterOf(1)
  const [first] = [opened(cluster.a)]
  const watching = open(cluster)
  await cluster.time.advance(0)
  expect(first.map(({from}) => from)).toEqual(['40'])
  first[0]?.say({created: true})
  first[0]?.say(event('Put', 41))
  await cluster.time.advance(0)
  expect(watching.pending).toBe(true)
  first[0]?.say(event('Delete', 42))
  await cluster.time.advance(0)
  expect(watching.value).toBe('deleted')
  expect(cluster.time.timerCount).toBe(0)
})

test.each([39, 40])(
  'does not count a deletion at revision %i, which some versions deliver',
  async (revision) => {
    const cluster = clusterOf(1)
    const watches = opened(cluster.a)
    const watching = open(cluster)
    await cluster.time.advance(0)
    expect(watches[0]?.say(event('Delete', revision))).toBe(false)
    await cluster.time.advance(0)
    expect(watching.pending).toBe(true)
  },
)

test('opens a broken watch again, at another member, from the last event that it saw', async () => {
  const cluster = clusterOf(2)
  const [atA, atB] = [opened(cluster.a), opened(cluster.b)]
  const watching = open(cluster)
  await cluster.time.advance(0)
  atA[0]?.say(event('Put', 57))
  atA[0]?.break()
  await cluster.time.advance(99)
  expect(atB).toHaveLength(0)
  await cluster.time.advance(1)
  expect(atB.map(({from}) => from)).toEqual(['57'])
  atB[0]?.say(event('Delete', 60))
  await cluster.time.advance(0)
  expect(watching.value).toBe('deleted')
})

test('waits longer and longer, up to a second, while no member lets it watch', async () => {
  const cluster = clusterOf(1)
  const atMs: number[] = []
  cluster.a.onStream = () => {
    atMs.push(cluster.clock.elapsedMs())
    return Promise.reject(refused())
  }
  const control = new AbortController()
  open(cluster, control.signal)
  await cluster.time.advance(5000)
  control.abort()
  expect(atMs).toEqual([0, 100, 300, 700, 1500, 2500, 3500, 4500])
})

test('begins with short pauses again after a watch that stood', async () => {
  const cluster = clusterOf(1)
  cluster.a.onStream = () => Promise.reject(refused())
  open(cluster)
  await cluster.time.advance(5000)
  const watches = opened(cluster.a)
  await cluster.time.advance(1000)
  watches[0]?.say({created: true})
  await cluster.time.advance(3_600_000)
  watches[0]?.break()
  await cluster.time.advance(100)
  expect(watches).toHaveLength(2)
})

test('says `unknown` when a compaction may have swallowed the deletion', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const watching = open(cluster)
  await cluster.time.advance(0)
  watches[0]?.say({canceled: true, compact_revision: '77'})
  await cluster.time.advance(0)
  expect(watching.value).toBe('unknown')
})

test('opens a watch again that etcd cancelled for another reason', async () => {
  const cluster = clusterOf(1)
  const watches: Opened[] = opened(cluster.a)
  const watching = open(cluster)
  await cluster.time.advance(0)
  expect(() => watches[0]?.say({canceled: true, cancel_reason: 'not now'})).toThrow('not now')
  watches[0]?.break()
  await cluster.time.advance(100)
  expect(watches).toHaveLength(2)
  expect(watching.pending).toBe(true)
})

test('rejects with the reason of the signal, while it watches and while it pauses', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const [first, second] = [new AbortController(), new AbortController()]
  const watching = open(cluster, first.signal)
  await cluster.time.advance(0)
  first.abort('told to')
  await cluster.time.advance(0)
  expect(watching.error).toBe('told to')
  const pausing = open(cluster, second.signal)
  await cluster.time.advance(0)
  watches[1]?.break()
  await cluster.time.advance(50)
  second.abort('told to')
  await cluster.time.advance(0)
  expect(pausing.error).toBe('told to')
  expect(cluster.time.timerCount).toBe(0)
})
