/**
 * npm run beside -- [--seconds N]
 *
 * Readers and writers of one lock, and holders of the slots of another one, come and go for so long (60); some of them are killed,
 * alone or with their job, frozen past their TTL, or cut off. Ends with 1 if by the kernel's account a writer held beside anybody,
 * or more than there are slots; if anybody overtook a writer; if somebody did not get on, or anything is left.
 */
import {parseArgs} from 'node:util'
import {crowd} from './crowd.ts'

const {values} = parseArgs({options: {seconds: {type: 'string', default: '60'}}})
if (!/^[1-9]\d*$/.test(values.seconds)) {
  console.error(`beside: --seconds takes a whole number from 1 on, not ${values.seconds}`)
  process.exit(64)
}

const {held, mostAtOnce, ends, longestWriterWaitMs, violations, overtakers, left, stuck} = await crowd(
  Number(values.seconds),
)
const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
console.log(
  `held: ${list(held)}; most at once: ${list(mostAtOnce)}; ${list(ends)}; ` +
    `the longest wait of a writer: ${longestWriterWaitMs.toFixed(0)} ms; ` +
    `violations: ${violations.length}; overtaken a writer: ${overtakers.length}; left: ${left.length}; stuck: ${stuck.length}`,
)
const problems = [...violations, ...overtakers, ...left, ...stuck]
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
