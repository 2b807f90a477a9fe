import {spawn} from 'node:child_process'

/** The service manager that started us and asked to be told how the service fares: systemd. */
export interface ServiceManager {
  /**
   * What was waited for is there, and the job is being started: said when the caller is done. `status` is for people; systemd
   * shows it also when the unit has ended: it must be true then, too.
   */
  ready(status: string): void
  /** A renewal was confirmed. Before READY systemd's watchdog does not count, and nothing is said. */
  confirmed(): void
  /**
   * It was lost, and we stand again for it: there is nothing to confirm for as long as that takes, so from now until `ready` the
   * watchdog is fed because we live. Before READY nothing is said.
   */
  standsAgain(status: string): void
}

/** How long one message may take. systemd-notify itself gives up after 5 s; one that stands still would be in the way of all later ones. */
const longestMs = 10_000

/** sd_watchdog_enabled(3) says half; one of three may come late. */
const feedsPerWatchdog = 3

/**
 * Whom to tell, by the variables of sd_notify(3); undefined if nobody asked. READY and a status are said with each hold, and
 * WATCHDOG at each confirmed renewal if the unit has a watchdog that waits for this process.
 *
 * Node cannot send Unix datagrams, so each message is a run of systemd-notify. systemd takes it for the unit's by the cgroup
 * of the sender, which is not the unit's main process: it needs `NotifyAccess=all`, and must not end before systemd has looked.
 * From version 246 on systemd-notify waits for that. An older one may be too quick, unless it runs as root: then it sends
 * under our pid. The main process stays the one that systemd started, as nobody says MAINPID.
 *
 * Never blocks and never throws. At most one systemd-notify runs: a confirmation that finds one at work is left out,
 * and the next one makes up for it. A status waits for its end.
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
  let next: readonly string[] | undefined
  let warned = false
  const onFault = (fault: string): void => {
    if (!warned)
      warn(
        `systemd does not hear of this hold (systemd-notify: ${fault}); check PATH, or unset NOTIFY_SOCKET`,
      )
    warned = true
  }
  const tell = (...message: readonly string[]): void => {
    if (busy) {
      next = message
      return
    }
    busy = true
    run(message, {PATH, NOTIFY_SOCKET}, (fault) => {
      busy = false
      if (fault !== undefined) onFault(fault)
      const waiting = next
      next = undefined
      if (waiting !== undefined) tell(...waiting)
    })
  }
  const isWatched = hasWatchdog(env)
  let isReady = false
  let feeding: NodeJS.Timeout | undefined
  const feed = (): void => {
    if (isReady && isWatched && !busy) tell('WATCHDOG=1')
  }
  return {
    ready: (status) => {
      // The job does not wait for this fork.
      setImmediate(() => {
        isReady = true
        clearInterval(feeding)
        tell('--ready', `--status=${status}`)
      })
    },
    confirmed: feed,
    standsAgain: (status) => {
      if (!isReady) return
      clearInterval(feeding)
      // With what is said now, or was a moment ago.
      if (isWatched)
        feeding = setInterval(feed, Number(env['WATCHDOG_USEC']) / feedsPerWatchdog / 1000).unref()
      tell(`--status=${status}`, ...(isWatched ? ['WATCHDOG=1'] : []))
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
