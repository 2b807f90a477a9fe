import {describe, expect, test} from 'vitest'
import {rejoin} from '../../../src/lib/child/rejoin.ts'
import {SignalInbox} from '../../../src/lib/child/signalInbox.ts'
import {Clock} from '../../../src/lib/core/clock.ts'
import {LeashError} from '../../../src/lib/core/errors.ts'
import type {TicketAhead} from '../../../src/lib/core/ticket.ts'
import {FakeClock, settled} from '../../support/fakeClock.ts'

interface End {
  outcome: 'lost' | 'ended' | 'contended' | 'waitedOut' | 'resigned'
  ahead?: TicketAhead
}

const ours = 'leash/election/api/694d'
const behind = (key: string): End => ({outcome: 'contended', ahead: {key, createRevision: 7n}})
const lost = {outcome: 'lost'} as const
const ended = {outcome: 'ended'} as const
const unavailable = new LeashError('unavailable', 'etcd cannot be reached', 'check it')

/** One who campaigns again and again. `using` gives the signals back. */
class Candidate implements Disposable {
  readonly time = new FakeClock()
  readonly clock = new Clock(this.time)
  readonly signals = new SignalInbox()
  /** What was said between two campaigns. */
  readonly told: string[] = []
  readonly pausesMs: number[] = []
  /** When the campaigns began. */
  readonly startsMs: number[] = []

  /** @param campaigns what the campaigns come to, one after the other; a function is called, and an error thrown */
  rejoin(
    campaigns: readonly (End | Error | (() => End | Promise<End>))[],
    random = 1,
  ): ReturnType<typeof rejoin<End>> {
    const left = [...campaigns]
    const campaign = async (): Promise<End> => {
      this.startsMs.push(this.clock.elapsedMs())
      const next = left.shift()
      if (next === undefined) throw new Error('one campaign too many')
      if (next instanceof Error) throw next
      return typeof next === 'function' ? next() : next
    }
    const tell = (reason: string, pauseMs: number): void => {
      this.told.push(reason)
      this.pausesMs.push(pauseMs)
    }
    const {clock, signals} = this
    const isOurs = ({key}: TicketAhead): boolean => key === ours
    const ports = {clock, signals, isOurs, tell, random: () => random}
    return rejoin(campaign, ({outcome}) => `it was ${outcome}`, ports)
  }

  /** A campaign that takes so long, and is lost. */
  lostAfter(ms: number): () => Promise<End> {
    return async () => {
      await this.clock.sleepUntil(this.clock.elapsedMs() + ms)
      return lost
    }
  }

  /** A campaign whose job gets a signal, and which is lost. */
  lostWithA(signal: NodeJS.Signals): () => End {
    return () => {
      this.signals.forwardTo(() => {})
      process.emit(signal, signal)
      return lost
    }
  }

  [Symbol.dispose](): void {
    this.signals.close()
  }
}

describe('the pause', () => {
  test('is 1 s, twice as long after each further loss, and never more than 30 s', async () => {
    using candidate = new Candidate()
    const losses = Array.from({length: 7}, () => lost)
    expect(await candidate.time.passing(candidate.rejoin([...losses, ended]))).toEqual(ended)
    expect(candidate.pausesMs).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
    const waitedMs = candidate.startsMs.slice(1).map((atMs, index) => atMs - (candidate.startsMs[index] ?? 0))
    expect(waitedMs).toEqual(candidate.pausesMs)
  })

  test.each([
    [0, [500, 1000, 2000]],
    [0.5, [750, 1500, 3000]],
  ])('is shorter by chance, down to a half: by %d', async (random, pausesMs) => {
    using candidate = new Candidate()
    await candidate.time.passing(candidate.rejoin([lost, lost, lost, ended], random))
    expect(candidate.pausesMs).toEqual(pausesMs)
  })

  test.each([
    [59_999, 4000],
    [60_000, 1000],
  ])('after a third campaign of %i ms is %i ms', async (heldMs, pauseMs) => {
    using candidate = new Candidate()
    const campaigns = [lost, lost, candidate.lostAfter(heldMs), lost, ended]
    await candidate.time.passing(candidate.rejoin(campaigns))
    expect(candidate.pausesMs).toEqual([1000, 2000, pauseMs, 2 * pauseMs])
  })
})

describe('it campaigns again', () => {
  test('after a loss, and says why', async () => {
    using candidate = new Candidate()
    expect(await candidate.time.passing(candidate.rejoin([lost, ended]))).toEqual(ended)
    expect(candidate.told).toEqual(['it was lost'])
  })

  test('when etcd is out of reach, at the first time, too', async () => {
    using candidate = new Candidate()
    expect(await candidate.time.passing(candidate.rejoin([unavailable, unavailable, ended]))).toEqual(ended)
    expect(candidate.told).toEqual(['etcd cannot be reached', 'etcd cannot be reached'])
    expect(candidate.pausesMs).toEqual([1000, 2000])
  })

  test('as long as nobody but the ticket that was lost is ahead', async () => {
    using candidate = new Candidate()
    const other = behind('leash/election/api/694e')
    const campaigns = [lost, behind(ours), behind(ours), other]
    expect(await candidate.time.passing(candidate.rejoin(campaigns))).toEqual(other)
    expect(candidate.told).toEqual([
      'it was lost',
      'the ticket of the leadership that was lost still stands',
      'the ticket of the leadership that was lost still stands',
    ])
  })

  test('after a loss when the job had got a signal that means something else to it', async () => {
    using candidate = new Candidate()
    const campaigns = [candidate.lostWithA('SIGUSR1'), ended]
    expect(await candidate.time.passing(candidate.rejoin(campaigns))).toEqual(ended)
  })
})

describe('it ends', () => {
  test.each<[End['outcome']]>([['ended'], ['contended'], ['waitedOut'], ['resigned']])(
    'when a campaign was %s',
    async (outcome) => {
      using candidate = new Candidate()
      expect(await candidate.time.passing(candidate.rejoin([lost, {outcome}]))).toEqual({outcome})
      expect(candidate.told).toHaveLength(1)
    },
  )

  test.each([
    ['a refusal of etcd', new LeashError('permission', 'denied', 'grant it')],
    ['a bug', new TypeError('undefined is not a function')],
  ])('with %s, which another try would not mend', async (_, error) => {
    using candidate = new Candidate()
    await expect(candidate.time.passing(candidate.rejoin([lost, error]))).rejects.toBe(error)
    expect(candidate.told).toHaveLength(1)
  })

  test('at once when a signal comes between two campaigns, though the last one had a job to forward to', async () => {
    using candidate = new Candidate()
    const jobs: NodeJS.Signals[] = []
    const end = candidate.rejoin([
      () => {
        candidate.signals.forwardTo((signal) => jobs.push(signal))
        return lost
      },
    ])
    await settled()
    expect(candidate.told).toHaveLength(1)
    process.emit('SIGTERM', 'SIGTERM')
    expect(await end).toEqual({outcome: 'interrupted', signal: 'SIGTERM', waitedMs: 0})
    expect(jobs).toEqual([])
    expect(candidate.time.timerCount).toBe(0)
  })

  test.each<[NodeJS.Signals]>([['SIGTERM'], ['SIGINT'], ['SIGHUP'], ['SIGQUIT']])(
    'with the loss of a job that %s had told to end',
    async (signal) => {
      using candidate = new Candidate()
      expect(await candidate.time.passing(candidate.rejoin([candidate.lostWithA(signal)]))).toEqual(lost)
      expect(candidate.told).toEqual([])
    },
  )
})
