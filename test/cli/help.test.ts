import {describe, expect, test} from 'vitest'
import packageJson from '../../package.json' with {type: 'json'}
import {timeline} from '../../src/lib/core/timeline.ts'
import {Sentry} from './support/Sentry.ts'
import {leash} from './support/leash.ts'

const lines = (text: string): string[] => text.trimEnd().split('\n')

describe('help', () => {
  test.each([
    [['--help'], 24],
    [['-h'], 24],
    [[], 24],
    [['run', '--help'], 50],
    [['run', '-l', 'x', '-h'], 50],
    [['campaign', '--help'], 60],
  ])('leash %j fits 80 columns and %i lines', async (args, mostLines) => {
    const {status, stdout, stderr} = await leash(args)
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    expect(lines(stdout).length).toBeLessThanOrEqual(mostLines)
    for (const line of lines(stdout)) expect(line.length, line).toBeLessThanOrEqual(80)
  })

  test('of run says how times are written, and what each exit status means', async () => {
    const {stdout} = await leash(['run', '--help'])
    expect(stdout).toContain('500ms, 10s, 5m or 1h30m')
    for (const status of [64, 69, 75, 77, 78, 79, 126, 127])
      expect(stdout).toMatch(new RegExp(`\\b${status}\\b`))
  })

  test('of campaign says which exit statuses it has without a command', async () => {
    const {stdout} = await leash(['campaign', '--help'])
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(
      'without both 79 if we lead no more, 128 + N after signal N',
    )
  })

  test('of run names every option', async () => {
    const {stdout} = await leash(['run', '--help'])
    const options =
      'with-lock raw-key no-wait wait conflict-exit-code ttl grace lock-delay signal lost-exit-code'
    const more = 'status-file endpoints prefix connect-timeout profile explain quiet verbose'
    for (const option of `${options} ${more}`.split(' ')) expect(stdout).toContain(`--${option}`)
  })
})

test('--version is the version of the package', async () => {
  const {status, stdout} = await leash(['--version'])
  expect(status).toBe(0)
  expect(stdout).toMatch(
    new RegExp(`^leash-cli/${packageJson.version.replaceAll('.', '\\.')} \\S+ node-v\\S+\n$`),
  )
})

describe('--explain', () => {
  const explain = async (...args: string[]): Promise<string> => {
    await using sentry = await Sentry.stand()
    const {status, stdout, stderr} = await leash([
      'run',
      '-l',
      'a/b',
      '--endpoints',
      sentry.url,
      ...args,
      '--explain',
      'echo',
      'a b',
      '',
    ])
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    expect(sentry.connections).toBe(0)
    expect(stdout).toContain(`endpoints ${sentry.url} (--endpoints)`)
    return stdout
  }
  const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

  test.each<[string, string[], number, {lockDelayMs: number; graceMs?: number}]>([
    ['of the defaults', [], 30_000, {lockDelayMs: 0}],
    ['of a short lease', ['--ttl', '3s'], 3000, {lockDelayMs: 0}],
    [
      'with lock-delay and grace',
      ['--ttl', '20s', '--lock-delay', '10s', '--grace', '5s'],
      30_000,
      {lockDelayMs: 10_000, graceMs: 5000},
    ],
    ['of half a second, which etcd counts in whole ones', ['--ttl', '2500ms'], 3000, {lockDelayMs: 0}],
  ])('shows the timeline %s, and contacts nobody', async (_, options, ttlMs, terms) => {
    const stdout = await explain(...options)
    const {
      renewAfterMs,
      warnAfterMs,
      termAfterMs,
      guardAfterMs,
      killAfterMs,
      entitledMs,
      graceMs,
      killMarginMs,
      attemptMs,
    } = timeline(ttlMs, terms)
    const moments = [0, renewAfterMs, warnAfterMs, termAfterMs, guardAfterMs, killAfterMs, entitledMs, ttlMs]
    const shown = [...stdout.matchAll(/^ *(\d+\.\d\d s) {2}/gm)].map(([, moment]) => moment)
    expect(shown).toEqual(moments.map(inSeconds))
    expect(stdout).toContain(`TERM to the job, which has ${inSeconds(graceMs)} of grace`)
    expect(stdout).toMatch(/^ *\S+ s {2}KILL to the job by the guard/m)
    expect(stdout).toContain(`KILL to the job, ${inSeconds(killMarginMs)} before`)
    expect(stdout).toContain(`an attempt may take ${inSeconds(attemptMs)}`)
  })

  test('names the keys, the command, and where each setting came from', async () => {
    const stdout = await explain('--ttl', '1m')
    expect(lines(stdout)).toEqual(
      expect.arrayContaining([
        'lock      a/b',
        'queue     leash/lock/a%2Fb/',
        'mark      leash/held/lock/a%2Fb',
        'command   "echo" "a b" ""',
        'setting   prefix leash/ (default)',
        'setting   ttl 1m (--ttl)',
      ]),
    )
  })
})
