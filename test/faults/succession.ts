/**
 * npm run succession -- [--candidates N] [--kills N]
 *
 * So many candidates (20) queue one by one; the leader is killed with KILL so many times (100), and each time another one joins at
 * the end. Ends with 1 if they did not lead in the order of their arrival, if an observer did not see each of them once and
 * in that order, if two led at once, or anything is left.
 */
import {parseArgs} from 'node:util'
import {nowMs} from '../support/wait.ts'
import {succession} from './candidates.ts'

const {values} = parseArgs({
  options: {candidates: {type: 'string', default: '20'}, kills: {type: 'string', default: '100'}},
})
for (const [name, value] of Object.entries(values)) {
  if (/^[1-9]\d*$/.test(value)) continue
  console.error(`succession: --${name} takes a whole number from 1 on, not ${value}`)
  process.exit(64)
}
const [candidates, kills] = [Number(values.candidates), Number(values.kills)]

const startedAtMs = nowMs()
const {led, observed, besides, left} = await succession(candidates, kills)
const arrived = Array.from({length: kills + 1}, (_, index) => String(index + 1))
const inOrder = (seen: readonly string[]): number =>
  arrived.filter((value, index) => index > 0 && seen[index] === value).length
console.log(
  `${candidates} candidates, ${kills} leaders killed in ${((nowMs() - startedAtMs) / 1000).toFixed(0)} s; ` +
    `successions in the order of arrival: ${inOrder(led)} of ${kills}; seen so by an observer: ${inOrder(observed)} of ${kills}, ` +
    `in ${observed.length} changes; two leaders at once: ${besides.length}; left: ${left.length}`,
)
const isRight = [led, observed].every((seen) => seen.join() === arrived.join())
if (!isRight) console.error(`led: ${led.join(' ')}\nobserved: ${observed.join(' ')}`)
for (const problem of [...besides, ...left]) console.error(problem)
process.exitCode = isRight && besides.length + left.length === 0 ? 0 : 1
