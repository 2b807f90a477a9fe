/**
 * leash as a library: what `leash run` and `leash campaign` are made of. Take a lock with `acquire`, alone or in another
 * `Mode`, listen to `lock.lost` and `lock.gone`, end what you do before the lock can pass on, and `release` it. A request with
 * `electionKeys` and a `proposal` campaigns; `store.proclaim` says something else. See with `observe` who leads an election or
 * holds a lock.
 */
export {Clock, type TimeSource} from './lib/core/clock.ts'
export {LeashError, type LeashErrorCode} from './lib/core/errors.ts'
export {type HeldLock, type Release} from './lib/core/heldLock.ts'
export {type FencingToken, type LeaseId, leaseIdFrom} from './lib/core/identifiers.ts'
export {type Acquisition, type LockNews, type LockPorts, type LockRequest, acquire} from './lib/core/lock.ts'
export {type LockKeys, electionKeys, lockKeys, rawLockKeys} from './lib/core/lockName.ts'
export type {Mode} from './lib/core/mode.ts'
export type {Change, SeenTicket} from './lib/core/observation.ts'
export {
  type Observation,
  type Observed,
  type ObserverPorts,
  type QueueReader,
  observe,
} from './lib/core/observer.ts'
export type {LeaseStore} from './lib/core/ports.ts'
export type {LossCause} from './lib/core/session.ts'
export type {Holder, Ticket, TicketAhead} from './lib/core/ticket.ts'
export {type Terms, type Timeline, timeline} from './lib/core/timeline.ts'
export {type OfficeOutcome, holdOffice} from './lib/child/holdOffice.ts'
export {type RejoinPorts, rejoin} from './lib/child/rejoin.ts'
export {type Hold, type RunOutcome, type RunRequest, runUnderLock} from './lib/child/runUnderLock.ts'
export {Interrupted, SignalInbox} from './lib/child/signalInbox.ts'
export {EtcdStore} from './lib/etcd/etcdStore.ts'
export {systemClock} from './lib/systemClock.ts'
