import fc from 'fast-check'
import {expect, test} from 'vitest'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {type QueueView, admission} from '../../../src/lib/core/queue.ts'

const own = {key: 'q/9', lease: 9n as LeaseId, createRevision: 40n}
const ahead = {key: 'q/7', createRevision: 30n}
const revision = 50n

test.each<{what: string; view: Omit<QueueView, 'revision'>; is: object}>([
  {
    what: 'the own ticket alone, without a mark: admitted',
    view: {own},
    is: {is: 'admitted', ticket: own, predecessorVanished: false, vanished: []},
  },
  {
    what: 'the own ticket alone, with the mark that was put with it: admitted',
    view: {own, markRevision: 40n},
    is: {is: 'admitted', ticket: own, predecessorVanished: false, vanished: []},
  },
  {
    what: 'the own ticket alone, and an older mark: admitted, but the last holder vanished',
    view: {own, markRevision: 39n},
    is: {is: 'admitted', ticket: own, predecessorVanished: true, vanished: []},
  },
  {
    what: 'the own ticket alone, and a younger mark, which a holder put while we waited: admitted, but it vanished',
    view: {own, markRevision: 41n},
    is: {is: 'admitted', ticket: own, predecessorVanished: true, vanished: []},
  },
  {what: 'somebody ahead: behind', view: {own, ahead}, is: {is: 'behind', ticket: own, ahead, wakes: 'this'}},
  {
    what: 'somebody ahead who holds, and its mark: behind',
    view: {own, ahead, markRevision: 30n},
    is: {is: 'behind', ticket: own, ahead, wakes: 'this'},
  },
  {what: 'somebody, and no own ticket: contended', view: {ahead}, is: {is: 'contended', ahead}},
  {
    what: 'somebody, no own ticket, and a mark: contended',
    view: {ahead, markRevision: 30n},
    is: {is: 'contended', ahead},
  },
  {what: 'an empty queue: not our turn, for our ticket is not there either', view: {}, is: {is: 'absent'}},
  {what: 'an empty queue and a mark: not our turn', view: {markRevision: 30n}, is: {is: 'absent'}},
])('$what', ({view, is}) => {
  expect(admission({...view, revision})).toEqual(is)
})

test('nobody is admitted whose own ticket was not seen, or who has somebody ahead', () => {
  const revisions = fc.bigInt({min: 1n, max: 100n})
  const views = fc.record({
    own: fc.option(
      revisions.map((createRevision) => ({...own, createRevision})),
      {nil: undefined},
    ),
    ahead: fc.option(
      revisions.map((createRevision) => ({...ahead, createRevision})),
      {nil: undefined},
    ),
    markRevision: fc.option(revisions, {nil: undefined}),
  })
  fc.assert(
    fc.property(views, (parts) => {
      const view = {
        ...(parts.own && {own: parts.own}),
        ...(parts.ahead && {ahead: parts.ahead}),
        ...(parts.markRevision !== undefined && {markRevision: parts.markRevision}),
        revision,
      }
      const {is} = admission(view)
      expect(is === 'admitted').toBe(parts.own !== undefined && parts.ahead === undefined)
    }),
  )
})
