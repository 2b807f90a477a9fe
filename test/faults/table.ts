import type {Row} from './runFault.ts'

const ms = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(0))

/** The median, and the worst. */
const spread = (values: readonly number[]): string => {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted.length === 0 ? '-' : `${ms(sorted[sorted.length >> 1])} / ${ms(sorted.at(-1))}`
}

const columns: readonly (readonly [heading: string, cell: (row: Row) => string])[] = [
  ['rounds', ({rounds}) => String(rounds)],
  ['cgroup / session', ({verdict: {tiers}}) => `${tiers.cgroup} / ${tiers.session}`],
  ['overlaps', ({verdict}) => String(verdict.overlaps)],
  ['smallest margin ms', ({verdict}) => ms(verdict.marginMs)],
  ['deletion to empty ms', ({verdict}) => ms(verdict.deletionToEmptyMs)],
  ['kill to empty ms', ({verdict}) => spread(verdict.killToEmptyMs)],
  ['slowest hand-over ms', ({verdict}) => ms(verdict.handOverMs)],
  ['wrong statuses', ({verdict}) => String(verdict.wrongStatuses)],
  ['leftovers', ({verdict}) => String(verdict.leftovers)],
  ['s', ({seconds}) => seconds.toFixed(0).padStart(3)],
]

/** The lines of the table, each by itself: rows are shown as they come. */
export const tableFor = (names: readonly string[]): {readonly head: string; row: (row: Row) => string} => {
  const nameWidth = Math.max(...names.map(({length}) => length))
  const line = (name: string, cells: readonly string[]): string =>
    [
      name.padEnd(nameWidth),
      ...cells.map((cell, index) => cell.padStart(columns[index]?.[0].length ?? 0)),
    ].join('  ')
  return {
    head: line(
      'fault',
      columns.map(([heading]) => heading),
    ),
    row: (row) =>
      line(
        row.fault.name,
        columns.map(([, cell]) => cell(row)),
      ),
  }
}
