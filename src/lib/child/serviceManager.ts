import {spawn} from 'node:child_process'

/** The service manager that started us and asked to be told how the service fares: systemd. */
export interface ServiceManager {
  /** The lock is held, and its job is being started: said when the caller is done. Call it once. */
  ready(lockName: string): void
  /** A renewal was confirmed. Before READY systemd's watchdog does not count, and nothing is said. */
  confirmed(): void
}

/** How long one message may take. systemd-notify itself gives up after 5 s; one that stands still would be in the way of all later ones. */
const longestMs = 10_000

/**
 * Whom to tell, by the variables of sd_notify(3); undefined if nobody asked. READY and a status are said once, and WATCHDOG at
 * each confirmed renewal if the unit has a watchdog that waits for this process.
 *
 * Node cannot send Unix datagrams, so each message is a run of systemd-notify. systemd takes it for the unit's by the cgroup
 * of the sender, which is not the unit's main process: it needs `NotifyAccess=all`, and must not end before systemd has looked.
 * From version 246 on systemd-notify waits for that. An older one may be too quick, unless it runs as root: then it sends
 * under our pid. The main process stays the one that systemd started, as nobody says MAINPID.
 *
 * Never blocks and never throws. At most one systemd-notify runs: a confirmation that finds one at work is left out,
 * and the next one makes up for it.
 *
 * @param env the environment that leash was given
 * @param warn told once if systemd cannot be told
 */
export function serviceManager(
  env: NodeJS.ProcessEnv,
  warn: (text: string) => void,
): ServiceManager | undefined {
  const {PATH, NOTIFY_SOCKET} = env
  if (!NOTIFY_SOCKET) return undefined
  let busy = false
  let warned = false
  const onFault = (fault: string): void => {
    if (!warned)
      warn(
        `systemd does not hear of this hold (systemd-notify: ${fault}); check PATH, or unset NOTIFY_SOCKET`,
      )
    warned = true
  }
  const tell = (...message: string[]): void => {
    if (busy) return
    busy = true
    run(message, {PATH, NOTIFY_SOCKET}, (fault) => {
      busy = false
      if (fault !== undefined) onFault(fault)
    })
  }
  const isWatched = hasWatchdog(env)
  let isReady = false
  return {
    ready: (lockName) => {
      // The job does not wait for this fork.
      setImmediate(() => {
        isReady = true
        // systemd shows it also when the unit has ended: it must be true then, too.
        tell('--ready', `--status=acquired the lock ${lockName}`)
      })
    },
    confirmed: () => {
      if (isReady && isWatched) tell('WATCHDOG=1')
    },
  }
}

/** Whether the unit has a watchdog that waits for this very process: who inherits the variables is not meant. */
function hasWatchdog({WATCHDOG_USEC, WATCHDOG_PID}: NodeJS.ProcessEnv): boolean {
  return Number(WATCHDOG_USEC) > 0 && (WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid))
}

/** Runs systemd-notify, and says once how it ended: `fault` is undefined if all went well. Does not keep this process alive. */
function run(args: readonly string[], env: NodeJS.ProcessEnv, onEnded: (fault?: string) => void): void {
  try {
    const sender = spawn('systemd-notify', args, {env, stdio: 'ignore'})
    sender.unref()
    const limit = setTimeout(() => sender.kill('SIGKILL'), longestMs).unref()
    sender.once('exit', (status, signal) => {
      clearTimeout(limit)
      onEnded(status === 0 ? undefined : `ended with ${signal ?? status}`)
    })
    sender.once('error', ({code, message}: NodeJS.ErrnoException) => {
      clearTimeout(limit)
      onEnded(code === 'ENOENT' ? 'not found' : message)
    })
  } catch (error) {
    // Node throws some failures to start a program (arguments that are too long) and emits the others.
    onEnded(error instanceof Error ? error.message : String(error))
  }
}
