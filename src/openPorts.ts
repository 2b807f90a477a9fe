import {randomBytes} from 'node:crypto'
import {localEngine} from './lib/config/endpoints.ts'
import type {Settings} from './lib/config/settings.ts'
import {systemWorld, userName} from './lib/config/world.ts'
import type {Clock} from './lib/core/clock.ts'
import {LeashError} from './lib/core/errors.ts'
import {leaseIdFrom} from './lib/core/identifiers.ts'
import {serviceManager} from './lib/child/serviceManager.ts'
import type {RunPorts} from './lib/child/runUnderLock.ts'
import type {LockNews} from './lib/core/lock.ts'
import type {Tls} from './lib/config/tls.ts'
import {type Access, EtcdStore} from './lib/etcd/etcdStore.ts'
import {localPlace} from './lib/local/place.ts'
import {speakNews} from './lib/output/lockNews.ts'
import {type Speaker, isTerminal} from './lib/output/stderr.ts'
import {WaitingDisplay} from './lib/output/waitingDisplay.ts'
import {systemClock} from './lib/systemClock.ts'
import {engineProgram} from './ownPrograms.ts'

/** The real world behind core's ports, for one command. `close` it, or its connections keep the process alive. */
export function openPorts(settings: Settings, speaker: Speaker): {ports: RunPorts; close: () => void} {
  const {store, clock} = openStore(settings, speaker)
  const display = isTerminal() && speaker.verbosity !== 'quiet' ? new WaitingDisplay() : undefined
  const tell = (news: LockNews): void => {
    if (news.kind === 'waiting') display?.show(news)
    else display?.hide()
    speakNews(speaker, news)
  }
  const warn = (text: string): void => speaker.warn(text)
  const ports = {
    store,
    clock,
    newLeaseId: () => leaseIdFrom(randomBytes(8)),
    tell,
    warn,
    service: serviceManager(process.env, warn),
    showQueue: display !== undefined,
  }
  const close = (): void => {
    display?.hide()
    store.close()
  }
  return {ports, close}
}

/**
 * The store of these settings, and the clock that it uses. `close` it, or its connections keep the process alive.
 *
 * @param speaker tells of an engine that nobody has chosen
 * @throws LeashError `config` for certificates and keys that do not fit together; as `localPlace`
 */
export function openStore({connection}: Settings, speaker?: Speaker): {store: EtcdStore; clock: Clock} {
  const clock = systemClock()
  const {value, origin} = connection.endpoints
  if (origin.kind === 'default') speaker?.warn(notChosen())
  if (value.includes(localEngine)) return {store: openLocal(clock), clock}
  const [first, ...others] = value.map(({url}) => url)
  if (first === undefined) throw new Error('settings without an endpoint')
  try {
    return {store: new EtcdStore([first, ...others], clock, access(connection)), clock}
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const wayOut = 'check LEASH_CACERT, LEASH_CLIENT_CERT and LEASH_CLIENT_KEY'
    throw new LeashError('config', `TLS cannot be set up: ${reason}`, wayOut, {cause})
  }
}

function notChosen(): string {
  return (
    `no etcd is configured, so this is for user ${userName()} on this machine only; ` +
    'set LEASH_ENDPOINTS for more machines, or LEASH_ENDPOINTS=local if this is meant'
  )
}

/** The engine of this user on this machine, which is started when a request finds none. */
function openLocal(clock: Clock): EtcdStore {
  const place = localPlace(systemWorld())
  const revive = async (): Promise<void> => {
    const {startOnDemand} = await import('./lib/local/startOnDemand.ts')
    await startOnDemand(place, engineProgram, clock)
  }
  const server = {
    name: `the engine of user ${userName()} on this machine`,
    wayOut: 'run leash serve: it takes the place of one that does not answer, or says why it cannot',
  }
  return new EtcdStore([`unix:${place.socketPath}`], clock, {revive, server})
}

function access({tls, credentials}: Settings['connection']): Access {
  return {
    ...(tls && {tls: security(tls)}),
    ...(credentials && {
      credentials: {user: credentials.user.value, password: credentials.password.value},
    }),
  }
}

function security({ca, certificate, key, serverName}: Tls): Access['tls'] {
  // Node would warn that it obeys, which it does not here. The job has its own environment.
  delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  return {
    ca: ca.value?.bytes,
    certificate: certificate.value?.bytes,
    key: key.value?.bytes,
    serverName: serverName.value,
  }
}
