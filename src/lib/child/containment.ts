/** How a job's processes are held together. */
export const tiers = ['cgroup', 'session', 'group'] as const

/**
 * - `cgroup`: a cgroup v2 of the job's own; nothing that the job forks leaves it.
 * - `session`: the job's session and process group, and whatever carries the job's marker in its environment.
 * - `group`: the process group alone, where there is no /proc.
 *
 * The earlier, the better.
 */
export type Tier = (typeof tiers)[number]

/** The processes of one job, from the moment on at which there is one that will become the job. */
export interface Containment {
  readonly tier: Tier
  /**
   * Sends a signal to every process of the job, or to its process group only, as a terminal would; to every process also if
   * the group is leash's own. After TERM (or whatever asks for an end) a stopped process gets CONT as well, or it could not
   * end.
   */
  signal(signal: NodeJS.Signals, to: 'tree' | 'group'): void
  /** KILL to every process of the job. Processes that are being forked may be missed: again, until it is empty. */
  kill(): void
  /**
   * Whether no process of the job is alive. Zombies are dead; a process that may not be inspected is not. Call it before each
   * signal once the job itself was reaped: while any process of it is left, the kernel does not give its number to anybody
   * else; afterwards it may.
   */
  isEmpty(): boolean
  /** Whether a process of the job is seen alive. False too while that cannot be said, on a machine that forks a lot. */
  isOccupied(): boolean
  /** The job's live processes, for people. */
  pids(): number[]
  /** Gives back what was made for the job, which has ended; what it left behind goes on. */
  dispose(): void
}

/**
 * Signals those of a job's processes that it is meant for.
 *
 * @param group the process group that the job leads, if it does: signalled at once, for a shell and what it waits for; it is
 *   still the job's as long as one of its processes is in it
 */
export function signalMembers(
  members: readonly {pid: number; group: number}[],
  group: number | undefined,
  signal: NodeJS.Signals,
  to: 'tree' | 'group',
): void {
  const others = members.filter((member) => member.group !== group)
  if (group !== undefined && others.length < members.length) send(-group, signal)
  if (group === undefined || to === 'tree') for (const {pid} of others) send(pid, signal)
}

/** Signals that ask nobody to end, or need nobody awake: no CONT after them, or a stopped job would go on. */
const noCont: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGSTOP', 'SIGCONT', 'SIGUSR1', 'SIGUSR2'])

/**
 * Sends a signal to a process, or with a negative number to every process of a group, and CONT after a signal that asks for
 * an end. False if there was none left.
 */
export function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    if (!noCont.has(signal)) process.kill(pid, 'SIGCONT')
    return true
  } catch (error) {
    // EPERM: it is there, but has changed its user. It was not reached, and it is not gone.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
