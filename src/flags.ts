import {Flags} from '@oclif/core'
import {tiers} from './lib/child/containment.ts'
import {containmentWishes} from './lib/child/chooseContainment.ts'
import {leftoverPolicies} from './lib/child/supervision.ts'

/** Each ticket is read by all who wait. */
const mostSlots = 10_000

/** Flags of every command that speaks to etcd. Each is also a variable in the environment and in leash.env. */
export const settingsFlags = {
  local: Flags.boolean({
    summary: 'no etcd: locks of this user on this machine only',
    exclusive: ['endpoints'],
    helpGroup: 'ETCD',
  }),
  endpoints: Flags.string({
    summary: 'etcd members, comma-separated, the nearest first',
    helpValue: 'URL,...',
    helpGroup: 'ETCD',
  }),
  prefix: Flags.string({summary: 'prefix of all keys [leash/]', helpValue: 'TEXT', helpGroup: 'ETCD'}),
  'connect-timeout': Flags.string({
    summary: 'how long etcd may be out of reach at the start [10s]',
    helpValue: 'TIME',
    helpGroup: 'ETCD',
  }),
  profile: Flags.string({
    summary: 'read NAME.env instead of leash.env',
    helpValue: 'NAME',
    helpGroup: 'ETCD',
  }),
  // Hidden, because the help has no line left: docs/etcd-authentication.md describes them.
  'password-file': Flags.string({hidden: true, helpValue: 'PATH'}),
  'insecure-transport': Flags.boolean({hidden: true}),
}

/** Flags of every command that speaks to the etcd that a handle names. */
export const connectionFlags = {
  endpoints: settingsFlags.endpoints,
  'connect-timeout': settingsFlags['connect-timeout'],
  profile: settingsFlags.profile,
}

/** Flags of every command that holds a lease. Each is also a variable in the environment and in leash.env. */
export const timingFlags = {
  ttl: Flags.string({summary: 'life of the lease [30s]', helpValue: 'TIME', helpGroup: 'LEASE'}),
  grace: Flags.string({
    summary: 'from TERM to KILL [30 % of the TTL, at most 10s]',
    helpValue: 'TIME',
    helpGroup: 'LEASE',
  }),
  'lock-delay': Flags.string({
    summary: 'keep others out longer after an unclean end [0]',
    helpValue: 'TIME',
    helpGroup: 'LEASE',
  }),
}

/** Flags of every command that waits in a queue. */
export const waitingFlags = {
  wait: Flags.string({
    char: 'w',
    summary: 'give up after so long [never]',
    helpValue: 'TIME',
    exclusive: ['no-wait'],
    helpGroup: 'LOCK',
  }),
  'no-wait': Flags.boolean({char: 'n', summary: 'give up at once if somebody holds it', helpGroup: 'LOCK'}),
  'conflict-exit-code': Flags.integer({
    char: 'E',
    summary: 'status when not acquired [75]',
    helpValue: 'N',
    min: 0,
    max: 255,
    helpGroup: 'EXIT',
  }),
}

/** A flag of every command by which something is ended when the lease is lost. */
export const signalFlag = {
  signal: Flags.string({
    char: 's',
    summary: 'what to send before KILL [TERM]',
    helpValue: 'SIGNAL',
    helpGroup: 'LEASE',
  }),
}

/** Flags of every command that takes locks. */
export const modeFlags = {
  shared: Flags.boolean({
    summary: 'beside others that are --shared, too',
    exclusive: ['slots'],
    helpGroup: 'LOCK',
  }),
  slots: Flags.integer({
    summary: 'beside others, N in all',
    helpValue: 'N',
    min: 1,
    max: mostSlots,
    helpGroup: 'LOCK',
  }),
}

/** A flag of every command that takes locks, or looks at them. */
export const keyFlag = {
  'raw-key': Flags.boolean({
    summary: "NAME is the key of another program's lock",
    helpGroup: 'LOCK',
  }),
}

/** A flag of every command that leaves something to be renewed. */
export const keepFlag = {
  keep: Flags.string({
    summary: 'renew until this process ends, mostly $$',
    helpValue: 'PID',
    helpGroup: 'LOCK',
  }),
}

/** Flags of every command that leaves a handle. */
export const handleOutputFlags = {
  export: Flags.boolean({summary: 'print assignments for eval', exclusive: ['json'], helpGroup: 'OUTPUT'}),
  json: Flags.boolean({summary: 'print what is known as JSON', helpGroup: 'OUTPUT'}),
}

/** Flags of every command that says something to the observers of an election. */
export const proposalFlags = {
  value: Flags.string({
    summary: 'what observers see of us [campaign: the host name]',
    helpValue: 'TEXT',
    exclusive: ['value-file'],
    helpGroup: 'ELECTION',
  }),
  'value-file': Flags.string({
    summary: 'the same from a file, any bytes',
    helpValue: 'PATH',
    helpGroup: 'ELECTION',
  }),
}

/** Flags of every command that looks at an election or a lock of somebody. */
export const lookFlags = {
  lock: Flags.boolean({summary: 'NAME is a lock, not an election'}),
  'raw-key': Flags.boolean({summary: "NAME is the key of another program's election or lock"}),
}

/** A flag of every command that goes by a handle. */
export const handleFlag = {
  handle: Flags.string({summary: 'what acquire printed [$LEASH_HANDLE]', helpValue: 'PATH'}),
}

/** Flags of every command that runs another one while it holds a lock or an office. */
export const childFlags = {
  ...signalFlag,
  leftovers: Flags.option({
    options: leftoverPolicies,
    summary: 'kill, wait or leave what it leaves behind [kill]',
    helpValue: 'HOW',
    helpGroup: 'JOB',
  })(),
  foreground: Flags.boolean({
    summary: 'leave it the terminal [if stdin is one]',
    allowNo: true,
    helpGroup: 'JOB',
  }),
  contain: Flags.option({
    options: containmentWishes,
    summary: 'by cgroup, by group, or the best of them [auto]',
    helpValue: 'HOW',
    helpGroup: 'JOB',
  })(),
  'require-containment': Flags.option({
    options: tiers,
    summary: 'refuse below cgroup, session or group [group]',
    helpValue: 'TIER',
    helpGroup: 'JOB',
  })(),
  'lost-exit-code': Flags.integer({
    summary: 'status when the lease was lost [79]',
    helpValue: 'N',
    min: 0,
    max: 255,
    helpGroup: 'EXIT',
  }),
  'status-file': Flags.string({summary: 'write how it ended, as JSON', helpValue: 'PATH', helpGroup: 'EXIT'}),
}

/** Flags of every command. */
export const speechFlags = {
  quiet: Flags.boolean({char: 'q', summary: 'say nothing but faults', exclusive: ['verbose']}),
  verbose: Flags.boolean({char: 'v', summary: 'say also what goes well'}),
}
