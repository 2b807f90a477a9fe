import {parseEnv} from 'node:util'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parseEnvFile} from '../../../src/lib/config/envFile.ts'
import {refusal} from './temporaryWorld.ts'

const known = ['LEASH_ENDPOINTS', 'LEASH_PREFIX', 'LEASH_TTL']
const parse = (text: string) => Object.fromEntries(parseEnvFile(text, '/etc/leash/leash.env', known))

describe('reads', () => {
  test.each([
    ['LEASH_TTL=30s', '30s'],
    ['LEASH_TTL=30s\r\n', '30s'],
    ['\ufeffLEASH_TTL=30s', '30s'],
    [' \tLEASH_TTL = 30s ', '30s'],
    ['LEASH_TTL="30s"', '30s'],
    ["LEASH_TTL='30s'", '30s'],
    ['LEASH_TTL="a # b"', 'a # b'],
    ['LEASH_TTL="a\'b"', "a'b"],
    ['LEASH_TTL=a=b', 'a=b'],
    ['LEASH_TTL=', ''],
    ['LEASH_TTL=""', ''],
    ['LEASH_TTL=1\nLEASH_TTL=30s', '30s'],
    ['; LEASH_TTL=1\nLEASH_TTL=30s', '30s'],
    ['# LEASH_TTL=1\n\nLEASH_TTL=30s\n#LEASH_TTL=1', '30s'],
    ['not a line\n=x\nLEASH_TTL=30s', '30s'],
  ])('%j', (text, value) => {
    expect(parse(text)).toEqual({LEASH_TTL: value})
  })

  test('nothing from lines about other variables', () => {
    expect(parse('TTL=1\nETCDCTL_ENDPOINTS=a:1\nMY_LEASH_TTL=1\n')).toEqual({})
  })

  test('every file that it accepts as util.parseEnv does', () => {
    const value = fc.string({unit: 'grapheme-ascii', maxLength: 12})
    const line = fc.oneof(
      fc
        .tuple(fc.constantFrom(...known), fc.constantFrom('', '"', "'"), value)
        .map(([n, q, v]) => `${n}=${q}${v}${q}`),
      fc.constantFrom('', '# LEASH_TTL=1', 'OTHER=x'),
    )
    fc.assert(
      fc.property(fc.array(line, {maxLength: 6}), (lines) => {
        const text = lines.join('\n')
        let ours: Record<string, string>
        try {
          ours = parse(text)
        } catch {
          return
        }
        const theirs = Object.entries(parseEnv(text)).filter(([name]) => known.includes(name))
        expect(ours).toEqual(Object.fromEntries(theirs))
      }),
      {numRuns: 2000},
    )
  })
})

describe('refuses', () => {
  test.each([
    'LEASH_TTL 30s',
    'LEASH_TTL: 30s',
    'LEASH_TTL',
    'leash_ttl=30s',
    'LEASH-TTL=30s',
    'LEASH_TTL=30s # half a minute',
    'LEASH_TTL=a#b',
    'LEASH_TTL="30s',
    "LEASH_TTL='30s",
    'LEASH_TTL=30s"',
    'LEASH_TTL="30s" x',
    'LEASH_TTL=`30s`',
    'LEASH_TTL=30s \\',
    'LEASH_TTL="a\\nb"',
    '  LEASH_TTL 30s',
  ])('the line %j, with its number and a way to write it', (line) => {
    const {code, message, wayOut} = refusal(() => parse(`LEASH_PREFIX=x/\n\n${line}\n`))
    expect(code).toBe('config')
    expect(message).toMatch(/^line 3 of \/etc\/leash\/leash\.env sets leash.?ttl in a way/i)
    expect(wayOut).toMatch(/^write LEASH_TTL=value/)
  })

  test('export, which systemd passes over', () => {
    expect(refusal(() => parse('export LEASH_TTL=30s'))).toMatchObject({
      message: 'line 1 of /etc/leash/leash.env begins with export, which systemd passes over',
      wayOut: 'remove the word export',
    })
  })

  test.each([
    ['LEASH_ENDPOINT', 'LEASH_ENDPOINTS'],
    ['LEASH_ENPDOINTS', 'LEASH_ENDPOINTS'],
    ['LEASHTTL', 'LEASH_TTL'],
    ['LEASH_PREFFIX', 'LEASH_PREFIX'],
  ])('%s, a name that no file can set, and asks for %s', (name, near) => {
    expect(refusal(() => parse(`${name}=x`))).toEqual({
      code: 'config',
      message: `line 1 of /etc/leash/leash.env sets ${name}, which a file cannot set`,
      wayOut: `write ${near} if you mean that, or remove the line`,
    })
  })

  test.each(['LEASH_PROFILE', 'LEASH_LOCK', 'LEASH_PASSWORD'])('%s, without showing its value', (name) => {
    const {message, wayOut} = refusal(() => parse(`${name}=secret`))
    expect(message).toBe(`line 1 of /etc/leash/leash.env sets ${name}, which a file cannot set`)
    expect(wayOut).toBe('remove the line; a file can set LEASH_ENDPOINTS, LEASH_PREFIX, LEASH_TTL')
  })
})
