import {writeFileSync} from 'node:fs'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {removeHandlesAt} from './support/Script.ts'
import {ScriptPlace, scriptShells} from './support/ScriptPlace.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(async () => {
  removeHandlesAt(etcd.url)
  await etcd[Symbol.asyncDispose]()
})

const names = [
  ...['$(touch taken)', '`touch taken`', '; touch taken #', '& touch taken &', '| touch taken'],
  ...["'; touch taken; '", '"; touch taken; "', '\\', "\\'", '!!', '--', '-n', '--export', '~root', '* ?[a]'],
  ...[
    '  two  blanks  ',
    '%s%n\\052',
    '${HOME}',
    'a/b%2F',
    'é e\u0301 日本 🙂 \u2028',
    "$'\\n'",
    '=x',
    '{a,b}',
  ],
]

const script = `
while IFS= read -r name <&3; do
  vars=$(leash acquire --ttl 60s --export -- "$name") || exit
  eval "$vars"
  printf '%s\\n' "$LEASH_LOCK"
done 3<names
`

describe.concurrent(
  'the variables of a lock with any name come out of eval as that name, and nothing else happens',
  () => {
    test.each(scriptShells.filter(({words}) => !words.includes('-e')))('in $name', async (shell) => {
      await using place = new ScriptPlace(etcd)
      writeFileSync(place.file('names'), names.map((name) => `${name}\n`).join(''))
      place.step('bin/touch')
      const {status, stdout, stderr} = await place.start(shell, script).end(120_000)
      expect({status, stderr}).toEqual({status: 0, stderr: ''})
      expect(stdout.split('\n').slice(0, -1)).toEqual(names)
      expect(place.ran).toEqual([])
    })
  },
)
