/** As much of an oclif flag's definition as says where its value stands. */
export interface OptionShape {
  readonly type: 'boolean' | 'option'
  readonly char?: string | undefined
}

/**
 * How many arguments belong to the options in front of the first operand, a `--` included.
 *
 * Options end at the first operand, as with `env` and `timeout`: what follows belongs to the command that is run, also
 * when it looks like one of our options. An unknown option is taken to have no value; the parser refuses it anyway.
 */
export function optionsLength(argv: readonly string[], flags: Readonly<Record<string, OptionShape>>): number {
  return leadingOptions(argv, flags).length
}

/** `hasEnd`: the last of them is a `--` that ends the options, and not one that is an option's value. */
function leadingOptions(
  argv: readonly string[],
  flags: Readonly<Record<string, OptionShape>>,
): {length: number; hasEnd: boolean} {
  const byChar = new Map(Object.values(flags).map((flag) => [flag.char, flag]))
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? ''
    if (arg === '--') return {length: i + 1, hasEnd: true}
    if (arg === '-' || !arg.startsWith('-')) return {length: i, hasEnd: false}
    if (takesNextArgument(arg, flags, byChar)) i++
  }
  return {length: argv.length, hasEnd: false}
}

/**
 * The options, wherever they stand, and the operands between and behind them; after a `--` there are operands only. For commands
 * whose operands are names, which may be followed by options as with most tools. `behind`: those after the `--`, if there is one.
 */
export function separateOptions(
  argv: readonly string[],
  flags: Readonly<Record<string, OptionShape>>,
): {options: string[]; operands: string[]; behind?: string[]} {
  const options: string[] = []
  const operands: string[] = []
  for (let rest = argv; rest.length > 0;) {
    const {length, hasEnd} = leadingOptions(rest, flags)
    options.push(...rest.slice(0, hasEnd ? length - 1 : length))
    if (hasEnd) {
      const behind = rest.slice(length)
      return {options, operands: [...operands, ...behind], behind}
    }
    operands.push(...rest.slice(length, length + 1))
    rest = rest.slice(length + 1)
  }
  return {options, operands}
}

/** What stands before a `--`: what comes behind is not ours to look at. */
export function beforeEnd(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end < 0 ? argv : argv.slice(0, end)
}

function takesNextArgument(
  arg: string,
  flags: Readonly<Record<string, OptionShape>>,
  byChar: ReadonlyMap<string | undefined, OptionShape>,
): boolean {
  if (arg.startsWith('--')) return flags[arg.slice(2)]?.type === 'option'
  const cluster = [...arg.slice(1)]
  const withValue = cluster.findIndex((char) => byChar.get(char)?.type === 'option')
  return withValue === cluster.length - 1
}
