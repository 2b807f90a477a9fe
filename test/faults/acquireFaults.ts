/** `leash acquire` or `leash release`, or a script in the middle of them, is killed. */
import {nowMs, pause} from '../support/wait.ts'
import {cleanUpMs, all, type Fault} from './Fault.ts'
import {countOverlaps, endOf, mustBe, mustBeOneOf} from './judge.ts'
import {commandOrLater, runningCommand} from './keptScript.ts'
import {noteWhatIsLeft} from './leftovers.ts'
import {ownStatus, type Round} from './round.ts'
import {goldenRatio, rehearse} from './startFaults.ts'
import {checkInto, emptyVerdict, type Verdict} from './verdict.ts'

/** Of a shell whose command was killed with KILL. */
const afterKill = 137

/** It may end between our look and our signal. */
const killIfThere = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const killedWhileItWaits = (name: string, kill: (round: Round) => Promise<void>): Fault => ({
  name,
  members: 'one',
  holder: 'kept',
  variants: 2,
  strike: ({tickets}, rounds) =>
    all(rounds, async (round) => {
      const {waiterTicket, ttlMs} = round
      await kill(round)
      await tickets.deleted(waiterTicket.key, ttlMs + 5000)
    }),
})

/** The moment in its start at which each round's acquire is killed: from the spawn on in even rounds, in odd ones from its ticket on. */
const killAcquire = async (fault: Fault, round: Round): Promise<Verdict> => {
  const verdict = emptyVerdict()
  const withinMs = cleanUpMs(fault, round.ttlMs)
  await checkInto(verdict)(async () => {
    const {toTicketMs, toJobMs} = await rehearse(round)
    const part = (Math.floor(round.index / 2) * goldenRatio) % 1
    const script = round.start('holder', round.holderLink, {modes: round.character.modes})
    if (round.index % 2 === 0) await pause(part * (toTicketMs + toJobMs))
    else {
      await round.nextTicket(script)
      await pause(part * toJobMs)
    }
    const {pid} = await commandOrLater(script, 'acquire')
    const killedAtMs = nowMs()
    if (pid !== undefined) killIfThere(pid)
    round.note(`holder: acquire ${pid === undefined ? 'had ended' : 'killed'}`, killedAtMs)
    await round.enqueue('waiter')
    // It had ended when we came, or ended between our look and our signal.
    const isLate = await Promise.race([script.exit.then(() => false), script.running().then(() => true)])
    if (isLate) mustBe("the holder's status", await endOf(round, script, ownStatus), ownStatus)
    else mustBe("the holder's status", (await script.exit).status, afterKill)
    const {atMs} = await round.waiter.running(withinMs + 4000)
    verdict.handOverMs = atMs - killedAtMs
    mustBe("the waiter's status", await endOf(round, round.waiter, 0), 0)
  })
  countOverlaps(round, verdict)
  await noteWhatIsLeft(fault, round, verdict)
  return verdict
}

const killRelease = async (fault: Fault, round: Round): Promise<Verdict> => {
  const verdict = emptyVerdict()
  await checkInto(verdict)(async () => {
    const {toEndMs} = await rehearse(round)
    await round.begin()
    const {holder, waiter} = round
    holder.tellToExit(ownStatus)
    const {pid} = await commandOrLater(holder, 'release')
    await pause(((round.index * goldenRatio) % 1) * toEndMs)
    const killedAtMs = nowMs()
    if (pid !== undefined && runningCommand(holder, 'release') === pid) killIfThere(pid)
    round.note('holder: release killed', killedAtMs)
    mustBeOneOf("the holder's status", (await holder.exited()).status, [ownStatus, afterKill])
    const {atMs} = await waiter.running(cleanUpMs(fault, round.ttlMs) + 4000)
    verdict.handOverMs = atMs - killedAtMs
    mustBe("the waiter's status", await endOf(round, waiter, 0), 0)
  })
  countOverlaps(round, verdict)
  await noteWhatIsLeft(fault, round, verdict)
  return verdict
}

export const acquireFaults: readonly Fault[] = [
  killedWhileItWaits('acquire killed while it waits', async (round) => {
    await round.killWaiter((waiter) => {
      const pid = runningCommand(waiter, 'acquire')
      if (pid === undefined) throw new Error('no acquire waits')
      process.kill(pid, 'SIGKILL')
    })
  }),
  {
    name: 'script killed while its acquire waits',
    members: 'one',
    // Without a keeper it waits on for nobody, and gives the lock back when it cannot tell of it.
    holder: 'kept',
    variants: 2,
    strike: (_, rounds) => all(rounds, (round) => round.killWaiter()),
  },
  {
    name: 'acquire killed at any moment of its start',
    members: 'one',
    holder: 'left',
    variants: 8,
    course: killAcquire,
  },
  {
    name: 'release killed at any moment',
    members: 'one',
    holder: 'left',
    variants: 4,
    course: killRelease,
  },
]
