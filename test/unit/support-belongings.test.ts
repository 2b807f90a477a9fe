import {expect, test} from 'vitest'
import {Belongings} from '../support/Belongings.ts'

test('gives everything back in reverse order, also when one of them fails to go', async () => {
  const gone: string[] = []
  const thing = (name: string, failure?: Error): AsyncDisposable => ({
    [Symbol.asyncDispose]: () => {
      gone.push(name)
      return failure ? Promise.reject(failure) : Promise.resolve()
    },
  })
  const belongings = new Belongings()
  for (const one of [thing('a'), thing('b', new Error('stuck')), thing('c')]) belongings.add(one)
  await expect(belongings[Symbol.asyncDispose]()).rejects.toThrow('not everything could be given back')
  expect(gone).toEqual(['c', 'b', 'a'])
})
