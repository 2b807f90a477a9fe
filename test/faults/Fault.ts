import type {FixtureMode} from '../support/oracle.ts'
import {pause} from '../support/wait.ts'
import type {Verdict} from './verdict.ts'
import type {Round} from './round.ts'
import type {Stage} from './stage.ts'

/** A row of the table: what strikes, and what must become of the holder. Everything else is the same for all. */
export interface Fault {
  readonly name: string
  readonly members: 'one' | 'three'
  /**
   * `lost`: leash must end the job and say 79. `kept`: the job must not notice. `either`: a matter of how long an
   * election takes; but if leash ends the job, then in time and with 79. `killed`: leash is, with SIGKILL, and its job must go
   * at once. `left`: what is kept ends, by SIGKILL or by itself, and nobody gives the lock back.
   */
  readonly holder: 'lost' | 'kept' | 'either' | 'killed' | 'left'
  /**
   * How the ticket of a holder goes that is lost or killed: by a request, so that the next one starts at once, or with its
   * lease, when etcd lets it expire. Absent where either may be.
   */
  readonly ticketGoes?: 'at once' | 'in time'
  /** leash cannot act: the guard must, before KILL would be due. */
  readonly byGuard?: true
  /** With `lost`: a shell gets the gentle signal first, and ends by it. */
  readonly gently?: true
  /** Nothing can end the tree before the ticket goes: measured is how long after. */
  readonly againstCausality?: true
  /** etcd itself fails: it takes longer until nothing is left. */
  readonly strikesEtcd?: true
  /** In place of the TTL that all others have. */
  readonly ttlMs?: number
  /** In place of the children that all others have in turn. */
  readonly modes?: (index: number) => readonly FixtureMode[]
  /** By how many rounds all variants are seen. */
  readonly variants?: number
  /** Before anything is started. */
  readonly prepare?: (round: Round) => void
  /** Strikes all rounds on one stage at once. */
  readonly strike?: (stage: Stage, rounds: readonly Round[]) => Promise<unknown>
  /** Ends the fault, once the holders' trees are empty. */
  readonly recover?: (stage: Stage, rounds: readonly Round[]) => Promise<unknown>
  /** A course of its own, in place of a holder, a waiter behind it and what strikes them. */
  readonly course?: (fault: Fault, round: Round) => Promise<Verdict>
}

/** The same to all rounds of a stage, side by side. */
export const all = (rounds: readonly Round[], act: (round: Round) => unknown): Promise<unknown> =>
  Promise.all(rounds.map(act))

export const longestTtlMs = (rounds: readonly Round[]): number => Math.max(...rounds.map(({ttlMs}) => ttlMs))

/** By now a lease that was not renewed since is lost and its tree dead. */
export const aTtl = (rounds: readonly Round[]): Promise<void> => pause(longestTtlMs(rounds))

/** How long after the last end something may still be there. */
export const cleanUpMs = ({strikesEtcd, ticketGoes}: Fault, ttlMs: number): number => {
  if (strikesEtcd) return 2 * ttlMs + 10_000
  return ticketGoes === 'at once' ? Math.min(ttlMs + 1000, 6000) : ttlMs + 1000
}
