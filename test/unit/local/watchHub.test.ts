import {describe, expect, test} from 'vitest'
import {type Change, Keyspace} from '../../../src/lib/local/keyspace.ts'
import type {WatchAnswer, WatchCreateRequest} from '../../../src/lib/local/values.ts'
import {WatchHub, type WatchStream} from '../../../src/lib/local/watchHub.ts'
import {deletionOf, putOf, toLast, watchOf} from '../../support/localValues.ts'

/** A hub, what changes its keyspace, and one stream with what it was told. */
class Scene {
  readonly keyspace = new Keyspace({revision: 1, keys: [], lastDeletions: []})
  readonly hub = new WatchHub(this.keyspace)
  readonly answers: WatchAnswer[] = []
  readonly stream: WatchStream = this.hub.open((answer) => this.answers.push(answer))

  put(key: string, value = ''): void {
    this.#publish(this.keyspace.put(putOf(key, value), () => true).change)
  }

  delete(key: string): void {
    this.#publish(this.keyspace.delete(deletionOf(key)).change)
  }

  /** The answers since the last look. */
  told(): WatchAnswer[] {
    return this.answers.splice(0)
  }

  /** The events since the last look, as `put a 2`. */
  events(): string[] {
    const events = this.told().flatMap((answer) => answer.events)
    return events.map(({type, kv}) => `${type} ${kv.key.toString()} ${kv.modRevision}`)
  }

  watch(key: string, asked: Partial<Omit<WatchCreateRequest, 'key'>> = {}): void {
    this.stream.create(watchOf(key, asked))
  }

  #publish(change: Change): void {
    this.hub.publish(change)
  }
}

describe('a watch', () => {
  test('tells what happens to its keys from now on, in order', () => {
    const scene = new Scene()
    scene.put('a')
    scene.watch('a', {rangeEnd: Buffer.from('c')})
    expect(scene.told()).toEqual([{revision: 2, watchId: 0, created: true, events: []}])
    for (const key of ['a', 'b', 'c']) scene.put(key)
    scene.delete('b')
    expect(scene.events()).toEqual(['put a 3', 'put b 4', 'delete b 6'])
  })

  test('tells what has happened since the revision that it asks for, and goes on', () => {
    const scene = new Scene()
    for (const value of ['one', 'two', 'three']) scene.put('a', value)
    scene.watch('a', {startRevision: 3})
    scene.put('a', 'four')
    expect(scene.events()).toEqual(['put a 3', 'put a 4', 'put a 5'])
  })

  test('waits for the revision that it asks for', () => {
    const scene = new Scene()
    scene.watch('a', {startRevision: 3})
    scene.put('a')
    scene.put('a')
    expect(scene.events()).toEqual(['put a 3'])
  })

  test('from before the compaction is cancelled with the revision of that', () => {
    const scene = new Scene()
    for (const value of ['one', 'two', 'three']) scene.put('a', value)
    scene.keyspace.compact(3)
    scene.watch('a', {startRevision: 2})
    scene.put('a')
    expect(scene.told().slice(1)).toEqual([
      {revision: 0, watchId: 0, canceled: true, compactRevision: 3, events: []},
    ])
    scene.watch('a', {startRevision: 3})
    expect(scene.events()).toEqual(['put a 3', 'put a 4', 'put a 5'])
  })

  test('leaves out what its filters say', () => {
    const scene = new Scene()
    scene.watch('a', {filters: ['Noput']})
    scene.watch('a', {filters: ['Nodelete']})
    scene.put('a')
    scene.delete('a')
    const told = scene.told().filter(({events}) => events.length > 0)
    expect(told.map(({watchId, events}) => [watchId, events[0]?.type])).toEqual([
      [1, 'put'],
      [0, 'delete'],
    ])
  })

  test('tells what was there before, if asked, unless there was nothing or it is compacted', () => {
    const scene = new Scene()
    scene.put('a', 'one')
    scene.put('a', 'two')
    scene.delete('a')
    const previous = (): (string | undefined)[] =>
      scene.told().flatMap(({events}) => events.map(({prevKv}) => prevKv?.value.toString()))
    scene.watch('a', {startRevision: 2, prevKv: true})
    expect(previous()).toEqual([undefined, 'one', 'two'])
    scene.keyspace.compact(3)
    scene.watch('a', {startRevision: 3, prevKv: true})
    expect(previous()).toEqual([undefined, 'two'])
  })

  test('that is cancelled says so once, and no more', () => {
    const scene = new Scene()
    scene.watch('a')
    scene.told()
    scene.stream.cancel(0)
    scene.stream.cancel(0)
    scene.put('a')
    expect(scene.told()).toEqual([{revision: 1, watchId: 0, canceled: true, events: []}])
  })

  test('is refused with an id that is taken, or a range without keys', () => {
    const scene = new Scene()
    scene.watch('a', {watchId: 5})
    scene.watch('a', {watchId: 5})
    scene.watch('b', {rangeEnd: Buffer.from('a')})
    scene.watch('b', {rangeEnd: toLast})
    expect(scene.told().map(({watchId, cancelReason}) => [watchId, cancelReason])).toEqual([
      [5, undefined],
      [-1, 'mvcc: duplicate watch ID provided on the WatchStream'],
      [-1, 'mvcc: watcher range is empty'],
      [0, undefined],
    ])
  })

  test('splits what is large into fragments, if asked', () => {
    const scene = new Scene()
    for (let round = 0; round < 5; round++) scene.put('a', 'x'.repeat(1024 * 1024))
    scene.watch('a', {startRevision: 2, fragment: true})
    const [, ...parts] = scene.told()
    expect(parts.map(({events, fragment = false}) => [events.length, fragment])).toEqual([
      [1, true],
      [1, true],
      [1, true],
      [1, true],
      [1, false],
    ])
    scene.watch('a', {startRevision: 2})
    expect(scene.told()[1]?.events).toHaveLength(5)
  })

  test('from far back is told a thousand revisions at a time', () => {
    const scene = new Scene()
    for (let round = 0; round < 2500; round++) scene.put('a')
    scene.watch('a', {startRevision: 2})
    expect(scene.told().map(({events}) => events.length)).toEqual([0, 1000, 1000, 500])
  })
})

describe('a stream', () => {
  test('says how far it has told everything, when its watches have begun', () => {
    const scene = new Scene()
    scene.stream.progress()
    scene.watch('a')
    scene.watch('a', {startRevision: 3})
    scene.told()
    scene.stream.progress()
    expect(scene.told()).toEqual([])
    scene.put('b')
    scene.put('b')
    scene.stream.progress()
    expect(scene.told()).toEqual([{revision: 3, watchId: -1, events: []}])
  })

  test('that is closed is told nothing', () => {
    const scene = new Scene()
    scene.watch('a')
    scene.told()
    scene.stream.close()
    scene.put('a')
    expect(scene.told()).toEqual([])
  })
})
