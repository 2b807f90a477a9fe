import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {leash} from '../cli/support/leash.ts'
import {Belongings} from '../support/Belongings.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {Job} from '../support/Job.ts'
import {type FixtureMode, Oracle} from '../support/oracle.ts'
import {EtcdctlProcess} from './EtcdctlProcess.ts'
import {GatewayRival} from './GatewayRival.ts'
import {hasTurn} from './Rival.ts'
import {standing} from './queue.ts'

/** Another program, which runs a command while it has what Go's client calls `name`. `await using` kills it. */
interface Program {
  readonly title: string
  readonly run: (etcd: EtcdServer, name: string, command: readonly string[]) => Promise<AsyncDisposable>
}

const etcdctlLock: Program = {
  title: 'etcdctl lock',
  run: (etcd, name, command) =>
    Promise.resolve(new EtcdctlProcess(etcd, 'lock', '--ttl', '3', name, ...command)),
}

const v3lock: Program = {
  title: 'v3lock by HTTP',
  run: async (etcd, name, [program = '', ...args]) => {
    const rival = await GatewayRival.start(etcd, 'lock', name)
    const work = async (): Promise<void> => {
      await hasTurn(rival)
      await once(spawn(program, args, {stdio: 'ignore'}), 'exit')
      await rival.release()
    }
    // Whoever waits for its tree says that it did not come.
    work().catch(() => {})
    return rival
  },
}

/** Ways in which two of leash hold a lock at once. */
const ways: readonly {flags: readonly string[]; modes: readonly FixtureMode[]}[] = [
  {flags: ['--shared'], modes: ['shared']},
  {flags: ['--slots', '2'], modes: ['slots=2']},
]

const rows = [etcdctlLock, v3lock].flatMap((program) =>
  ways.map((way) => ({program, way, title: `leash run ${way.flags.join(' ')} and ${program.title}`})),
)

describe.each<EtcdVersion>(['3.4', '3.5'])(
  'beside each other, but not beside others, of etcd %s:',
  (version) => {
    let etcd: EtcdServer
    beforeAll(async () => {
      etcd = await EtcdServer.start({version})
    })
    afterAll(() => etcd[Symbol.asyncDispose]())

    for (const [row, {program, way, title}] of rows.entries()) {
      test.concurrent(`${title}: it waits for all of ours, and ours for it`, async () => {
        const lock = `index${row}`
        const queue = `leash/lock/${lock}`
        await using oracle = await Oracle.create()
        const start = (name: string): Job =>
          Job.start({oracle, endpoints: [etcd.url], lock, name, ttl: '10s', ...way})
        await using first = start('first')
        await using second = start('second')
        await Promise.all([first.running(), second.running()])

        await using programs = new Belongings()
        programs.add(await program.run(etcd, queue, oracle.command('theirs')))
        const theirs = oracle.tree('theirs')
        await standing(etcd, queue, 3)
        const atOnce = ['run', '-n', ...way.flags, '-l', lock, '--endpoints', etcd.url, '--', 'echo', 'never']
        expect(await leash(atOnce)).toEqual({status: 75, stdout: '', stderr: ''})
        await using third = start('third')
        await standing(etcd, queue, 4)

        first.tellToExit(0)
        await standing(etcd, queue, 3)
        expect([theirs.hasStarted, third.hasStarted]).toEqual([false, false])
        second.tellToExit(0)
        await theirs.running()
        expect(third.hasStarted).toBe(false)

        theirs.exit(0)
        await third.running()
        third.tellToExit(0)
        const exits = await Promise.all([first, second, third].map((job) => job.exited()))
        expect(exits.map(({status}) => status)).toEqual([0, 0, 0])
        expect(oracle.violations()).toEqual([])
        const left = (await keysUnder(etcd.url, 'leash/')).filter(({key}) => key.includes(`/${lock}`))
        expect(left).toEqual([])
      })
    }
  },
)
