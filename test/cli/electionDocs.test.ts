import {hostname} from 'node:os'
import {describe, expect, test} from 'vitest'
import {Idioms} from './support/Idioms.ts'
import {inEachShell} from './support/inEachShell.ts'
import {Leash} from './support/leash.ts'
import {useEtcd} from './support/useEtcd.ts'

const idioms = new Idioms('election.md')
const etcd = useEtcd()
const shells = inEachShell(() => etcd)

/** A step's body: what a client gets that asks now. */
const asks = 'leash leader api >>ran'
const address = `${hostname()}:8080`

describe('a service', () => {
  shells('runs while it leads, can be found, and says how it has ended', async (shell, place) => {
    place.step('serve', `${asks}; exit 3`)
    expect(await place.run(shell, idioms.script('service'))).toEqual({status: 3, stdout: '', stderr: ''})
    expect(place.ran).toEqual(['serve', address])
    await place.isFree()
  })
})

describe('a section that leads', () => {
  shells('is seen to start, then at its address, and leads no more when it ends', async (shell, place) => {
    place.step('warm-up', asks)
    place.step('switch-over', asks)
    expect(await place.run(shell, idioms.script('term'))).toEqual({status: 0, stdout: '', stderr: ''})
    expect(place.ran).toEqual(['warm-up', 'starting', 'switch-over', address])
    await place.isFree()
  })

  shells('resigns when a step fails, and ends with its status', async (shell, place) => {
    place.step('warm-up', 'exit 3')
    place.step('switch-over')
    expect((await place.run(shell, idioms.script('term'))).status).toBe(3)
    expect(place.ran).toEqual(['warm-up'])
    await place.isFree()
  })

  shells('resigns when TERM ends it', async (shell, place) => {
    place.step('warm-up', 'kill -TERM "$PPID"')
    place.step('switch-over')
    expect((await place.run(shell, idioms.script('term'))).status).toBe(143)
    expect(place.ran).toEqual(['warm-up'])
    await place.isFree()
  })
})

describe('a client', () => {
  shells('asks the leader, and nobody if there is none', async (shell, place) => {
    place.step('ask')
    expect((await place.run(shell, idioms.script('client'))).status).toBe(1)
    expect(place.ran).toEqual([])
    await using leader = new Leash(['campaign', 'api', '--value', 'web-1:80'], {env: place.env})
    await leader.says(/elected/)
    expect((await place.run(shell, idioms.script('client'))).status).toBe(0)
    expect(place.ran).toEqual(['ask web-1:80'])
  })
})

test('every block of the docs is run', () => {
  expect(idioms.untested).toEqual([])
})
