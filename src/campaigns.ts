import {handleRequest, handleSettings, type HandleFlags} from './acquireRequest.ts'
import {printElected} from './campaignOutput.ts'
import type {CampaignFlags, Candidacy} from './campaignRequest.ts'
import type {HandleOutput} from './handleOutput.ts'
import {type ChosenStatuses, leaseLost, runStatus, signalStatus} from './lib/child/exitStatus.ts'
import {type OfficeOutcome, holdOffice} from './lib/child/holdOffice.ts'
import type {Inheritance} from './lib/child/inheritance.ts'
import {rejoin} from './lib/child/rejoin.ts'
import {describeCause, electionWords, runMessage} from './lib/child/runMessage.ts'
import {runReport} from './lib/child/runReport.ts'
import {type RunOutcome, type RunPorts, runUnderLock} from './lib/child/runUnderLock.ts'
import type {SignalInbox} from './lib/child/signalInbox.ts'
import {leaseHex} from './lib/core/identifiers.ts'
import type {TicketAhead} from './lib/core/ticket.ts'
import {electionRequest, readProposal} from './lib/config/electionRequest.ts'
import {loadSettings} from './lib/config/settings.ts'
import {acquireHandle} from './lib/handle/acquireHandle.ts'
import {handleMessage, handleStatus} from './lib/handle/handleOutcome.ts'
import {type Speaker, isTerminal} from './lib/output/stderr.ts'
import {openPorts} from './openPorts.ts'
import {runRequest} from './runRequest.ts'

/** What a campaign works with. */
interface CampaignParts {
  flags: CampaignFlags & HandleFlags
  candidate: Candidacy
  inheritance: Inheritance
  signals: SignalInbox
  output: HandleOutput
  speaker: Speaker
}

/** How a campaign ended. */
interface CampaignEnd {
  status: number
  /** What to say of it; undefined if all went well. */
  message: string | undefined
  /** For the status file. */
  report?: Record<string, unknown>
}

/** Runs the command while we lead. */
export async function campaignWithCommand(parts: CampaignParts): Promise<CampaignEnd> {
  const {flags, candidate, inheritance, signals, speaker} = parts
  const {name, command} = candidate
  const settings = loadSettings(flags)
  const lock = electionRequest(name, flags, settings)
  const usage = 'leash campaign NAME -- COMMAND'
  const request = runRequest(lock, flags, command, settings, inheritance, usage)
  const {ports, close} = openPorts(settings, speaker)
  const {leftovers} = request.ending
  const describe = (end: RunOutcome): string | undefined =>
    runMessage(end, isContentionTold(flags), leftovers, electionWords)
  const campaign = (): Promise<RunOutcome> => runUnderLock(request, ports, signals)
  const outcome = await repeatedly(campaign, describe, parts, ports).finally(close)
  const status = runStatus(outcome, chosenStatuses(flags))
  return {status, message: describe(outcome), report: runReport(name, outcome, status)}
}

/** Leaves a handle that is renewed for as long as a process lives. */
export async function campaignKept({
  flags,
  candidate,
  inheritance,
  signals,
  output,
  speaker,
}: CampaignParts): Promise<CampaignEnd> {
  output.choose(flags.export ? 'export' : flags.json ? 'json' : 'path')
  const settings = handleSettings(flags)
  const lock = electionRequest(candidate.name, flags, settings)
  const request = {...handleRequest(lock, flags, settings, inheritance.env), anew: readProposal(flags)}
  const {ports, close} = openPorts(settings, speaker)
  const outcome = await acquireHandle(request, ports, signals.interrupted, (handle, path) =>
    output.print(handle, path),
  ).finally(close)
  const message = handleMessage(outcome, isContentionTold(flags), electionWords)
  return {status: handleStatus(outcome, flags['conflict-exit-code']), message}
}

/** Says when we lead, and leads until it is told to end. */
export async function campaignAlone(parts: CampaignParts): Promise<CampaignEnd> {
  const {flags, candidate, signals, speaker} = parts
  const settings = loadSettings(flags)
  const request = electionRequest(candidate.name, flags, settings)
  const {ports, close} = openPorts(settings, speaker)
  const describe = (end: OfficeOutcome): string | undefined => officeMessage(end, isContentionTold(flags))
  const campaign = (): Promise<OfficeOutcome> =>
    holdOffice(request, ports, signals.interrupted, (lock) => printElected(lock, flags.json))
  const outcome = await repeatedly(campaign, describe, parts, ports).finally(close)
  return {status: officeStatus(outcome, flags), message: describe(outcome)}
}

/** Once, or for ever; then `ports` note which leases are ours. */
function repeatedly<Outcome extends {outcome: string; ahead?: TicketAhead}>(
  campaign: () => Promise<Outcome>,
  describe: (end: Outcome) => string | undefined,
  {flags, candidate, signals, speaker}: CampaignParts,
  ports: RunPorts,
): Promise<Outcome | (RunOutcome & {outcome: 'interrupted'})> {
  if (!flags.rejoin) return campaign()
  const {clock, newLeaseId, service} = ports
  const tell = (reason: string, pauseMs: number): void => {
    service?.standsAgain(`lost the leadership of ${candidate.name}`)
    speaker.warn(`${reason}; campaigning again in ${(pauseMs / 1000).toFixed(1)} s`)
  }
  // A lease that was lost may stand for a while: its ticket is nobody else's.
  const leases = new Set<string>()
  ports.newLeaseId = () => {
    const lease = newLeaseId()
    leases.add(leaseHex(lease))
    return lease
  }
  const isOurs = ({key}: TicketAhead): boolean => leases.has(key.slice(key.lastIndexOf('/') + 1))
  return rejoin(campaign, (end) => describe(end) ?? '', {clock, signals, isOurs, tell, random: Math.random})
}

function chosenStatuses(flags: CampaignFlags): ChosenStatuses {
  return {conflict: flags['conflict-exit-code'], lost: flags['lost-exit-code']}
}

function officeStatus(outcome: OfficeOutcome, flags: CampaignFlags): number {
  const chosen = chosenStatuses(flags)
  if (outcome.outcome === 'lost') return chosen.lost ?? leaseLost
  return outcome.outcome === 'resigned' ? signalStatus(outcome.signal) : runStatus(outcome, chosen)
}

/** A cron job asked for silence. */
function isContentionTold({verbose}: CampaignFlags): boolean {
  return isTerminal() || verbose
}

function officeMessage(outcome: OfficeOutcome, contention: boolean): string | undefined {
  if (outcome.outcome === 'lost') return `${describeCause(outcome.cause)}; stop what relies on it`
  if (outcome.outcome !== 'resigned') return runMessage(outcome, contention, 'leave', electionWords)
  if (outcome.release !== 'failed') return undefined
  return 'the resignation was not answered; the next leader starts when the lease has run out'
}
