import {runInNewContext} from 'node:vm'
import {describe, expect, test} from 'vitest'
import {lazyRequire} from '../../../scripts/build/lazyRequire.ts'

/** Evaluates a transformed module with modules of its own; `loaded` lists what it required, in order. */
const evaluate = (
  source: string,
  modules: Record<string, unknown>,
): {exports: Record<string, unknown>; loaded: string[]} => {
  const loaded: string[] = []
  const exports: Record<string, unknown> = {}
  const require = (name: string): unknown => {
    loaded.push(name)
    return modules[name]
  }
  runInNewContext(lazyRequire(source, 'module.js'), {exports, require})
  return {exports, loaded}
}

describe('a module whose requires are lazy', () => {
  test('loads another one when it first uses it, and once', () => {
    const source = `
      const a_1 = require('a'), unrelated = 1;
      const b_1 = require('b');
      exports.use = () => (0, b_1.twice)(b_1.one)`
    const {exports, loaded} = evaluate(source, {b: {one: 1, twice: (n: number) => 2 * n}})
    expect(loaded).toEqual(['a'])
    expect((exports['use'] as () => number)()).toBe(2)
    expect(loaded).toEqual(['a', 'b'])
  })

  test('loads at once what it uses at once, such as a base class', () => {
    const source = `const base_1 = require('base'); exports.Child = class extends base_1.Base {}`
    expect(evaluate(source, {base: {Base: class {}}}).loaded).toEqual(['base'])
  })

  test('constructs the class and not the call that loads it', () => {
    const source = `const a_1 = require('a'); exports.make = () => new a_1.inner.Thing(7).value`
    const Thing = class {
      value: number
      constructor(value: number) {
        this.value = value
      }
    }
    expect((evaluate(source, {a: {inner: {Thing}}}).exports['make'] as () => number)()).toBe(7)
  })

  test("keeps TypeScript's import helpers around the require", () => {
    const source = `
      const __importDefault = (module) => ({default: module});
      const a_1 = __importDefault(require('a'));
      exports.use = () => a_1.default`
    const {exports, loaded} = evaluate(source, {a: 'A'})
    expect(loaded).toEqual([])
    expect((exports['use'] as () => string)()).toBe('A')
  })

  test('re-exports without loading', () => {
    const source = `
      var a_1 = require('a');
      Object.defineProperty(exports, 'A', {enumerable: true, get: function () { return a_1.A }})`
    const {exports, loaded} = evaluate(source, {a: {A: 'A'}})
    expect(loaded).toEqual([])
    expect(exports['A']).toBe('A')
  })
})

describe.each([
  ['a parameter has the same name', "const a = require('a'); exports.f = (a) => a.b"],
  [
    'a local variable has the same name',
    "const a = require('a'); exports.f = () => { const a = 1; return a }",
  ],
  ['a shorthand property has the name', "const a = require('a'); exports.f = () => ({a})"],
  ['it is required for its effects', "require('a'); exports.f = 1"],
  ['what is required is not a constant', "const a = require('a' + exports.x); exports.f = a"],
])('%s:', (_, source) => {
  test('the require is left as it is', () => expect(lazyRequire(source, 'module.js')).toBe(source))
})

test('lines stay where they were, for source maps', () => {
  const source = "'use strict'\nconst a_1 = require('a')\n\nexports.f = () => a_1.b\n"
  expect(lazyRequire(source, 'module.js').split('\n')).toHaveLength(source.split('\n').length)
})
