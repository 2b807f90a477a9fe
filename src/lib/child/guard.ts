import {type ChildProcess, spawn} from 'node:child_process'
import {existsSync} from 'node:fs'
import type {Socket} from 'node:net'
import {constants} from 'node:os'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import {type ProcessIdentity, type Processes, runningProcesses} from './processIdentity.ts'

/** Names the variables that mark jobs, each job's its own, so that nested runs neither hide nor kill each other's. */
export const markerPrefix = 'LEASH_RUN_'

/** How long leash and the kernel have to end a tree before the guard takes a processor from them: 200 processes take 15 ms. */
export const endingMs = 30

/** What a guard guards, and how. */
export interface GuardPlan {
  /** The path of guard.sh, which says what it does and why it may kill what it kills. */
  script: string
  /** What makes the clean end at etcd after leash died; gets the ticket as one more argument. Empty if it gets no ticket. */
  cleanEnd: readonly string[]
  /** The environment of both. No job's mark may be in it: the end of an outer run leaves the guard of an inner one alive. */
  env: Readonly<Record<string, string>>
  /** The name of the variable that marks the job's processes, or of one that nobody has. */
  marker: string
  /** The directory that the job's cgroup will have, if it gets one. */
  directory?: string
}

/**
 * The guard beside a job: a small process that ends the job's tree when leash cannot, because it was killed or is frozen. It
 * stands in a session of its own, so that a signal to leash's group, or a Ctrl-Z, leaves it alone.
 */
export class Guard {
  readonly #process: ChildProcess & {pid: number}
  /** For orders and answers; one costs the start 0.3 ms less than two pipes. */
  readonly #socket: Socket
  readonly #died = new AbortController()
  /** Who waits for which answer. */
  readonly #waiting = new Map<string, () => void>()
  #endedAtBootMs: number | undefined
  #unread = ''

  private constructor(child: ChildProcess & {pid: number}) {
    this.#process = child
    this.#socket = child.stdio[3] as Socket
    this.#socket.on('data', (text: Buffer) => this.#read(text.toString('latin1')))
    // It may be dead when it is told something; its end says so.
    this.#socket.on('error', () => {})
    // What we wait for is the job.
    child.unref()
    this.#socket.unref()
    child.once('exit', () => {
      // Its timer goes with it: the number is not free as long as that is there.
      this.#killSession()
      this.#died.abort()
    })
  }

  /**
   * Starts it.
   *
   * @throws LeashError `notExecutable` if no process can be started
   */
  static async start({script, marker, directory = '', cleanEnd, env}: GuardPlan): Promise<Guard> {
    const args = [script, marker, directory, ...cleanEnd]
    const stdio = ['ignore' as const, 'ignore' as const, 'ignore' as const, 'pipe' as const]
    const child = spawn('/bin/sh', args, {detached: true, cwd: '/', env, stdio})
    if (child.pid === undefined) {
      const cause = await new Promise<Error>((resolve) => child.once('error', resolve))
      const message = `the guard, without which no job is started, cannot be started: ${cause.message}`
      throw new LeashError('notExecutable', message, 'check /bin/sh and the limits of this user', {cause})
    }
    return new Guard(child as ChildProcess & {pid: number})
  }

  /** Aborted when it has died: nobody would end the job if leash died, too. */
  get died(): AbortSignal {
    return this.#died.signal
  }

  /** Its process, for `dismissGuard` when we are dead; undefined when it has died, and where there is no /proc. */
  get identity(): ProcessIdentity | undefined {
    const {pid} = this.#process
    // Until Node has reaped it, the number is not somebody else's.
    const startTicks = this.#died.signal.aborted ? undefined : runningProcesses.startOf(pid)
    return startTicks === undefined ? undefined : {pid, startTicks}
  }

  /** When it saw the tree empty that it ended because the time was over, in milliseconds of boot time. */
  get endedAtBootMs(): number | undefined {
    return this.#endedAtBootMs
  }

  /**
   * What becomes the job: its process, whether that leads a session of its own, and whether the guard is to move it into the
   * cgroup. Resolves with true when the guard has it, with false if the kernel has refused; never if the guard dies.
   */
  guard(job: number, leads: boolean, intoCgroup: boolean): Promise<boolean> {
    const guarded = Promise.race([
      this.#answer('ready').then(() => true),
      this.#answer('refused').then(() => false),
    ])
    this.#tell(`job ${job} ${leads ? 'leads' : 'shares'} ${intoCgroup ? 'inside' : 'none'}`)
    return guarded
  }

  /**
   * What to end instead of a job: a process that is not our child, and its descendants. If we die they get the gentle signal,
   * and KILL at the moment that was told last. Resolves when the guard has it; never if it dies.
   */
  keep({pid, startTicks}: ProcessIdentity, stopSignal: NodeJS.Signals): Promise<void> {
    const guarded = this.#answer('ready')
    this.#tell(`keep ${pid} ${startTicks} ${constants.signals[stopSignal]}`)
    return guarded
  }

  /**
   * Has it look at what is kept, and at what descends from that by now: these are found though their parent has ended, also at
   * the moments that it is told from now on. Resolves when it has looked; never if it dies.
   */
  see(): Promise<void> {
    const seen = this.#answer('seen')
    this.#tell('see')
    return seen
  }

  /**
   * From now on it ends the tree at this moment, and no earlier one; 0: now. An end that was due before is not called off.
   * Resolves when it has answered; never if it dies.
   *
   * @param bootMs of the guard's clock: see `guardTimeMs`
   * @param ticket what it has to end at etcd from now on, if leash dies: one word
   */
  until(bootMs: number, ticket?: string): Promise<void> {
    // Hundredths of a second, as in /proc/uptime. Rounded down: early is safe.
    const order = `until ${Math.max(0, Math.floor(bootMs / 10))}`
    const answered = this.#answer(order)
    // The ticket is not worth an answer: the guard reads it before it sees the end of its orders.
    this.#tell(ticket === undefined ? order : `${order}\nticket ${ticket}`)
    return answered
  }

  /** The tree was seen empty, or what is kept was released: nothing is to be killed any more, whatever comes. */
  treeEmpty(): void {
    this.#tell('empty')
  }

  /** All is done. */
  dismiss(): void {
    this.#process.removeAllListeners('exit')
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#killSession()
    this.#socket.destroy()
  }

  #tell(order: string): void {
    // Somebody may have stopped it, but not its timer: that would end the tree at a moment that has been put off.
    this.#process.kill('SIGCONT')
    this.#socket.write(`${order}\n`)
  }

  #answer(line: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(line, resolve))
  }

  #read(text: string): void {
    const lines = (this.#unread + text).split('\n')
    this.#unread = lines.pop() ?? ''
    for (const line of lines) {
      const [word, value] = line.split(' ')
      if (word === 'ended') this.#endedAtBootMs ??= Number(value) * 10
      this.#waiting.get(line)?.()
      this.#waiting.delete(line)
    }
  }

  #killSession(): void {
    killSession(this.#process.pid)
  }
}

/**
 * Dismisses the guard of a leash that is dead: it ends nothing any more. Whoever has got its number since is left alone; and
 * nothing is done either if it has died and only its timer is left.
 */
export function dismissGuard(
  {pid, startTicks}: ProcessIdentity,
  processes: Processes = runningProcesses,
): void {
  if (processes.startOf(pid) === startTicks) killSession(pid)
}

function killSession(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // Nobody is left of it.
  }
}

/** Not everywhere where there is a /proc: systemd's ProcSubset=pid hides it. */
const hasUptime = existsSync('/proc/uptime')

/** A moment by the guard's clock: boot time, or where there is no /proc/uptime to read it from, the time since the epoch. */
export function guardTimeMs(clock: Clock, atMs: number): number {
  return hasUptime ? clock.bootMsAt(atMs) : clock.wallMs() + atMs - clock.elapsedMs()
}
