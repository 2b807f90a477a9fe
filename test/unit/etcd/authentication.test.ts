import {status} from '@grpc/grpc-js'
import type {IAuthenticateResponse} from 'etcd3'
import {describe, expect, test} from 'vitest'
import {Authentication} from '../../../src/lib/etcd/authentication.ts'
import {grpcError} from './fakeMembers.ts'

const expired = (): Error => grpcError(status.UNAUTHENTICATED, 'etcdserver: invalid auth token')
const old = (): Error => grpcError(status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old')
const nameless = (): Error => grpcError(status.INVALID_ARGUMENT, 'etcdserver: user name is empty')
const denied = (): Error => grpcError(status.PERMISSION_DENIED, 'etcdserver: permission denied')
const down = (): Error => grpcError(status.UNAVAILABLE, 'no connection')

const {signal} = new AbortController()

/** A member that gives the tokens `1`, `2` ..., each when it is let. */
class TokenGiver {
  readonly authentication = new Authentication(
    {user: 'u', password: 'secret'},
    'http://e:1',
    (request, sent) => this.#ask(request, sent),
  )
  readonly requests: unknown[] = []
  /** What the next requests come to, in place of a token. */
  readonly faults: Error[] = []
  /** Who waits for an answer: `hold` keeps them until `letGo`. */
  #held: (() => void)[] | undefined

  hold(): void {
    this.#held = []
  }

  letGo(): void {
    for (const go of this.#held ?? []) go()
    this.#held = undefined
  }

  /** Calls with a token, and is refused with these errors first; all tokens that were tried. */
  async tried(...refusals: Error[]): Promise<(string | undefined)[]> {
    const tokens: (string | undefined)[] = []
    await this.authentication.call(signal, (token) => {
      tokens.push(token)
      const refusal = refusals.shift()
      return refusal ? Promise.reject(refusal) : Promise.resolve()
    })
    return tokens
  }

  async #ask(request: unknown, sent: AbortSignal): Promise<IAuthenticateResponse> {
    this.requests.push(request)
    const answer = {token: String(this.requests.length)} as IAuthenticateResponse
    const fault = this.faults.shift()
    await new Promise<void>((resolve, reject) => {
      sent.addEventListener('abort', () => reject(sent.reason as Error))
      if (this.#held) this.#held.push(resolve)
      else resolve()
    })
    if (fault) throw fault
    return answer
  }
}

describe('a token', () => {
  test('is fetched when it is needed, with name and password, and serves from then on', async () => {
    const giver = new TokenGiver()
    expect(giver.requests).toEqual([])
    expect(await giver.tried()).toEqual(['1'])
    expect(await giver.tried()).toEqual(['1'])
    expect(giver.requests).toEqual([{name: 'u', password: 'secret'}])
  })

  test('is shared by calls that need it at the same time', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const both = Promise.all([giver.tried(), giver.tried()])
    giver.letGo()
    expect(await both).toEqual([['1'], ['1']])
  })

  test.each([
    ['has expired', expired],
    ['is older than users and roles', old],
    ['was not needed before', nameless],
  ])('that %s is replaced, and the call is made again at once', async (_, refusal) => {
    const giver = new TokenGiver()
    await giver.tried()
    expect(await giver.tried(refusal())).toEqual(['1', '2'])
    expect(await giver.tried()).toEqual(['2'])
  })

  test('that was new and is refused is replaced twice, and no more', async () => {
    const giver = new TokenGiver()
    expect(await giver.tried(expired(), expired())).toEqual(['1', '2', '3'])
    await expect(giver.tried(expired(), expired(), expired())).rejects.toMatchObject({
      code: status.UNAUTHENTICATED,
    })
    expect(await giver.tried()).toEqual(['6'])
  })

  test('that others have replaced meanwhile is not fetched again', async () => {
    const giver = new TokenGiver()
    await giver.tried()
    let refuse: (error: Error) => void = () => {}
    const tokens: (string | undefined)[] = []
    const slow = giver.authentication.call(signal, (token) => {
      tokens.push(token)
      return tokens.length > 1 ? Promise.resolve() : new Promise<void>((_, reject) => (refuse = reject))
    })
    expect(await giver.tried(expired())).toEqual(['1', '2'])
    refuse(expired())
    await slow
    expect(tokens).toEqual(['1', '2'])
    expect(giver.requests).toHaveLength(2)
  })

  test('that has been used before may be what is denied; a new one is not', async () => {
    const giver = new TokenGiver()
    await expect(giver.tried(denied())).rejects.toMatchObject({code: status.PERMISSION_DENIED})
    expect(await giver.tried(denied())).toEqual(['1', '2'])
    await expect(giver.tried(denied(), denied())).rejects.toMatchObject({code: status.PERMISSION_DENIED})
  })

  test('is not what a broken connection is about', async () => {
    const giver = new TokenGiver()
    await giver.tried()
    await expect(giver.tried(down())).rejects.toMatchObject({code: status.UNAVAILABLE})
    expect(giver.requests).toHaveLength(1)
  })
})

describe('where nobody is asked for a name', () => {
  const off = (): Error => grpcError(status.FAILED_PRECONDITION, 'etcdserver: authentication is not enabled')

  test('calls go without a token, and that is known from then on', async () => {
    const giver = new TokenGiver()
    giver.faults.push(off())
    expect(await giver.tried()).toEqual([undefined])
    expect(await giver.tried()).toEqual([undefined])
    expect(giver.requests).toHaveLength(1)
  })

  test('a token is fetched when that changes', async () => {
    const giver = new TokenGiver()
    giver.faults.push(off())
    expect(await giver.tried(nameless())).toEqual([undefined, '2'])
  })
})

describe('a request for a token', () => {
  test('that fails is made again by the next call', async () => {
    const giver = new TokenGiver()
    giver.faults.push(down())
    await expect(giver.tried()).rejects.toMatchObject({code: status.UNAVAILABLE})
    expect(await giver.tried()).toEqual(['2'])
  })

  test('goes on when its caller has given up, for the next one', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const impatient = new AbortController()
    const given = giver.authentication.call(impatient.signal, () => Promise.resolve())
    impatient.abort('enough')
    await expect(given).rejects.toBe('enough')
    giver.letGo()
    expect(await giver.tried()).toEqual(['1'])
  })

  test('is not waited for on a connection that was thrown away, and counts if it succeeds first', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const first = giver.tried()
    giver.authentication.restart()
    const second = giver.tried()
    expect(giver.requests).toHaveLength(2)
    giver.letGo()
    expect(await Promise.all([first, second])).toEqual([['1'], ['2']])
  })

  test('ends with the connection', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const given = giver.tried()
    giver.authentication.close()
    await expect(given).rejects.toMatchObject({code: status.UNAVAILABLE})
  })

  test('with a wrong password names the user, and not the password', async () => {
    const giver = new TokenGiver()
    const details = 'etcdserver: authentication failed, invalid user ID or password'
    giver.faults.push(grpcError(status.INVALID_ARGUMENT, details))
    const refused: unknown = await giver.tried().catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'permission',
      message: 'etcd at http://e:1 does not accept the password of user "u", or has no such user',
    })
    expect(JSON.stringify(refused)).not.toContain('secret')
  })
})
