import {expect, test, vi} from 'vitest'
import {passwdHome, systemWorld} from '../../../src/lib/config/world.ts'
import {refusal} from './temporaryWorld.ts'

const failing = (code: string) => () => {
  throw Object.assign(new Error('uv_os_get_passwd'), {code: 'ERR_SYSTEM_ERROR', info: {code}})
}

test('takes the home from the passwd entry, whatever HOME says, so that cron and a login shell agree', () => {
  const {home} = systemWorld()
  vi.stubEnv('HOME', '/somewhere/else')
  vi.stubEnv('XDG_CONFIG_HOME', '/somewhere/else')
  try {
    expect(systemWorld().home).toBe(home)
  } finally {
    vi.unstubAllEnvs()
  }
})

test('looks in /etc/leash, as the effective user', () => {
  expect(systemWorld()).toMatchObject({systemDirectory: '/etc/leash', uid: process.geteuid?.()})
})

test('knows no home for a user without a passwd entry or with a relative one', () => {
  expect(passwdHome(failing('ENOENT'))).toBeUndefined()
  expect(passwdHome(() => ({homedir: ''}))).toBeUndefined()
  expect(passwdHome(() => ({homedir: 'relative'}))).toBeUndefined()
})

test('does not take a user database that fails for a user without a home', () => {
  expect(refusal(() => passwdHome(failing('EIO')))).toMatchObject({
    code: 'config',
    message: expect.stringContaining('passwd entry') as string,
  })
})
