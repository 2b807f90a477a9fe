import {status} from '@grpc/grpc-js'
import type {IAuthenticateResponse} from 'etcd3'
import {describe, expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import {Authentication, type Authenticator} from '../../../src/lib/etcd/authentication.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {grpcError} from './fakeMembers.ts'

const expired = (): Error => grpcError(status.UNAUTHENTICATED, 'etcdserver: invalid auth token')
const old = (): Error => grpcError(status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old')
const nameless = (): Error => grpcError(status.INVALID_ARGUMENT, 'etcdserver: user name is empty')
const denied = (): Error => grpcError(status.PERMISSION_DENIED, 'etcdserver: permission denied')
const down = (): Error => grpcError(status.UNAVAILABLE, 'no connection')

const {signal} = new AbortController()

/** Two members that give the tokens `1`, `2` ..., and what uses them. */
class TokenGiver {
  readonly time = new FakeClock()
  readonly authentication = new Authentication({user: 'u', password: 'secret'}, new Clock(this.time))
  readonly a = this.#member('http://a:1')
  readonly b = this.#member('http://b:1')
  /** Who was asked what. */
  readonly requests: {endpoint: string; request: unknown}[] = []
  /** What the next requests come to, in place of a token. */
  readonly faults: Error[] = []
  /** Requests that wait to be let go, once they are held. */
  #held: (() => void)[] | undefined

  hold(): void {
    this.#held = []
  }

  /** Answers the request that came first, or the one that came then. */
  letGo(index = 0): void {
    const [go] = this.#held?.splice(index, 1) ?? []
    go?.()
  }

  get asked(): string {
    return this.requests.map(({endpoint}) => endpoint[7]).join('')
  }

  /** Calls with a token, and is refused with these errors first; all tokens that were tried. */
  async tried(...refusals: Error[]): Promise<(string | undefined)[]> {
    return this.triedAt(this.a, ...refusals)
  }

  async triedAt(member: Authenticator, ...refusals: Error[]): Promise<(string | undefined)[]> {
    const tokens: (string | undefined)[] = []
    await this.authentication.call(member, signal, (token) => {
      tokens.push(token)
      const refusal = refusals.shift()
      return refusal ? Promise.reject(refusal) : Promise.resolve()
    })
    return tokens
  }

  #member(endpoint: string): Authenticator {
    return {endpoint, authenticate: (request, sent) => this.#answer({endpoint, request}, sent)}
  }

  async #answer(
    asked: {endpoint: string; request: unknown},
    sent: AbortSignal,
  ): Promise<IAuthenticateResponse> {
    const answer = {token: String(this.requests.push(asked))} as IAuthenticateResponse
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
    expect(giver.requests).toEqual([{endpoint: 'http://a:1', request: {name: 'u', password: 'secret'}}])
  })

  test('is shared by calls that need it at the same time, to whatever member', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const both = Promise.all([giver.tried(), giver.triedAt(giver.b)])
    giver.letGo()
    expect(await both).toEqual([['1'], ['1']])
    expect(await giver.triedAt(giver.b)).toEqual(['1'])
    expect(giver.asked).toBe('a')
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
    const slow = giver.authentication.call(giver.a, signal, (token) => {
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
    const given = giver.authentication.call(giver.a, impatient.signal, () => Promise.resolve())
    impatient.abort('enough')
    await expect(given).rejects.toBe('enough')
    giver.letGo()
    expect(await giver.tried()).toEqual(['1'])
  })

  test('that takes longer than bcrypt usually does gets others beside it, ever more rarely, and the first answer counts', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const all = [giver.tried(), giver.triedAt(giver.b), giver.triedAt(giver.b)]
    await giver.time.advance(499)
    expect(giver.asked).toBe('a')
    await giver.time.advance(1)
    expect(giver.asked).toBe('ab')
    await giver.time.advance(999)
    all.push(giver.tried())
    expect(giver.asked).toBe('ab')
    await giver.time.advance(1)
    expect(giver.asked).toBe('aba')
    giver.letGo(1)
    expect(await Promise.all(all)).toEqual([['2'], ['2'], ['2'], ['2']])
    giver.letGo()
    expect(await giver.tried()).toEqual(['2'])
  })

  test('that fails at one member is made at another by whoever waits to call that', async () => {
    const giver = new TokenGiver()
    giver.hold()
    giver.faults.push(down())
    const [one, other] = [giver.tried(), giver.triedAt(giver.b)]
    giver.letGo()
    await expect(one).rejects.toMatchObject({code: status.UNAVAILABLE})
    giver.letGo()
    expect(await other).toEqual(['2'])
    expect(giver.asked).toBe('ab')
  })

  test('that nobody answers is given up after 5 s', async () => {
    const giver = new TokenGiver()
    giver.hold()
    const given = giver.tried()
    given.catch(() => {})
    await giver.time.advance(5000)
    await expect(given).rejects.toMatchObject({code: status.UNAVAILABLE})
  })

  test('ends with the store', async () => {
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
      message: 'etcd at http://a:1 does not accept the password of user "u", or has no such user',
    })
    expect(JSON.stringify(refused)).not.toContain('secret')
  })
})
