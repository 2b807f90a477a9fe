import {expect, test} from 'vitest'
import {eventWatch} from '../../../src/lib/etcd/eventWatch.ts'
import {type Watched, watch} from '../core/world.fixture.ts'
import {type Cluster, type FakeMember, clusterOf, refused} from './fakeMembers.ts'

interface Opened {
  from: string
  say: (answer: object) => boolean
  break: () => void
}

/** Collects the watches that are opened at a member. */
function opened(member: FakeMember): Opened[] {
  const all: Opened[] = []
  member.onStream = (request, onAnswer) =>
    new Promise((resolve, reject) => {
      const {create_request} = request as {create_request: {start_revision: string}}
      const say: Opened['say'] = (answer) => {
        const isOver = onAnswer({
          canceled: false,
          compact_revision: '0',
          events: [],
          fragment: false,
          ...answer,
        })
        if (isOver) resolve()
        return isOver
      }
      all.push({from: create_request.start_revision, say, break: () => reject(refused())})
    })
  return all
}

/** Events of keys at revisions, as `a10`. */
const events = (...named: string[]): object[] =>
  named.map((name) => ({
    type: 'Put',
    kv: {key: Buffer.from(name.slice(0, 1)), mod_revision: name.slice(1)},
  }))

/** Watches from revision 9 on, and notes what it is given: `10:ab`. */
function open({policy, clock}: Cluster): {heard: string[]; watching: Watched<'ended' | 'compacted'>} {
  const heard: string[] = []
  const onEvents: Parameters<typeof eventWatch>[2] = (revision, ofOne) => {
    heard.push(`${revision}:${ofOne.map(({kv}) => kv.key.toString()).join('')}`)
    return ofOne.some(({kv}) => kv.key.toString() === 'z')
  }
  const range = {key: Buffer.from('a'), range_end: Buffer.from('b')}
  return {
    heard,
    watching: watch(eventWatch(range, 9n, onEvents, {policy, clock}, new AbortController().signal)),
  }
}

test('hands over revision by revision, each whole', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const {heard} = open(cluster)
  await cluster.time.advance(0)
  watches[0]?.say({created: true})
  watches[0]?.say({events: events('a10', 'b10', 'a11')})
  watches[0]?.say({events: events('c15')})
  expect(heard).toEqual(['10:ab', '11:a', '15:c'])
})

test('puts fragments together before it hands over, also where a revision is split', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const {heard} = open(cluster)
  await cluster.time.advance(0)
  watches[0]?.say({events: events('a10', 'a11'), fragment: true})
  watches[0]?.say({events: events('b11', 'a12'), fragment: true})
  expect(heard).toEqual([])
  watches[0]?.say({events: events('b12')})
  expect(heard).toEqual(['10:a', '11:ab', '12:ab'])
})

test('forgets fragments of a stream that has broken, and gets all of them from the next member', async () => {
  const cluster = clusterOf(2)
  const [atA, atB] = [opened(cluster.a), opened(cluster.b)]
  const {heard} = open(cluster)
  await cluster.time.advance(0)
  atA[0]?.say({events: events('a10')})
  atA[0]?.say({events: events('a11', 'a12'), fragment: true})
  atA[0]?.break()
  await cluster.time.advance(100)
  expect(atB.map(({from}) => from)).toEqual(['10'])
  atB[0]?.say({events: events('a10', 'a11', 'a12', 'b12')})
  expect(heard).toEqual(['10:a', '11:a', '12:ab'])
})

test('does not hand over again what a stream repeats, or older things', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const {heard} = open(cluster)
  await cluster.time.advance(0)
  watches[0]?.say({events: events('a8', 'a9', 'a10')})
  watches[0]?.say({events: events('a10', 'a11')})
  expect(heard).toEqual(['10:a', '11:a'])
})

test('ends when it is told to, and hands over nothing behind that', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const {heard, watching} = open(cluster)
  await cluster.time.advance(0)
  expect(watches[0]?.say({events: events('z10', 'a11')})).toBe(true)
  await cluster.time.advance(0)
  expect(heard).toEqual(['10:z'])
  expect(watching.value).toBe('ended')
})

test('ends with a compaction', async () => {
  const cluster = clusterOf(1)
  const watches = opened(cluster.a)
  const {watching} = open(cluster)
  await cluster.time.advance(0)
  watches[0]?.say({canceled: true, compact_revision: '77'})
  await cluster.time.advance(0)
  expect(watching.value).toBe('compacted')
})
