import ts from 'typescript'

/** A top-level `const name = require('...')`, perhaps wrapped in TypeScript's import helpers. */
interface RequireStatement {
  statement: ts.VariableStatement
  name: string
  initializer: ts.Expression
}

/**
 * Makes a CommonJS module that TypeScript has emitted load what it requires when it first uses it.
 *
 * `const x_1 = require('x')` becomes a function that requires on its first call, and each use of `x_1` becomes a call
 * of it. What the module uses while it is evaluated (a base class, say) is still loaded then; the rest is loaded when it
 * is needed, or never. The meaning changes only for a module whose loading has an effect that others wait for, so the
 * packages that are treated are a list in bundle.ts, and a bare `require('x')` for its effects stays as it is.
 *
 * A name that is declared anywhere else in the file, exported or used in a shorthand property is left alone: then a
 * plain renaming would not be safe. Lines are kept, so that source maps stay right to the line.
 */
export function lazyRequire(source: string, fileName: string): string {
  const file = ts.createSourceFile(fileName, source, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS)
  const requires = new Map(
    file.statements.flatMap((statement) => requireStatement(statement)).map((r) => [r.name, r]),
  )
  const uses = new Map([...requires.keys()].map((name) => [name, [] as ts.Identifier[]]))

  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && requires.has(node.text) && !isPropertyName(node)) {
      if (isDeclaredHere(node) || ts.isShorthandPropertyAssignment(node.parent)) requires.delete(node.text)
      else uses.get(node.text)?.push(node)
    }
    ts.forEachChild(node, visit)
  }
  for (const statement of file.statements) if (!requireStatement(statement).length) visit(statement)

  const edits = [...requires.values()].flatMap(({statement, name, initializer}) => [
    {
      start: statement.getStart(),
      end: statement.getEnd(),
      text: `let $${name}; function ${name}() { return $${name} ??= ${initializer.getText()} }`,
    },
    ...(uses.get(name) ?? []).flatMap((use) => called(use)),
  ])
  return applied(edits, source)
}

interface Edit {
  start: number
  end: number
  text: string
}

/** Turns a use of a name into a call; inside `new a.B()` with parentheses, since `new a().B()` would mean another thing. */
function called(use: ts.Identifier): Edit[] {
  const insert = (at: number, text: string) => ({start: at, end: at, text})
  let callee: ts.Node = use
  while (ts.isPropertyAccessExpression(callee.parent) && callee.parent.expression === callee)
    callee = callee.parent
  const constructed = ts.isNewExpression(callee.parent) && callee.parent.expression === callee
  if (!constructed) return [insert(use.getEnd(), '()')]
  return [insert(callee.getStart(), '('), insert(use.getEnd(), '()'), insert(callee.getEnd(), ')')]
}

function applied(edits: Edit[], source: string): string {
  const ordered = edits.toSorted((a, b) => a.start - b.start)
  const kept = ordered.map((edit, i) => source.slice(ordered[i - 1]?.end ?? 0, edit.start) + edit.text)
  return kept.join('') + source.slice(ordered.at(-1)?.end ?? 0)
}

const importHelpers = new Set(['__importDefault', '__importStar'])

function requireStatement(statement: ts.Statement): RequireStatement[] {
  if (!ts.isVariableStatement(statement) || statement.declarationList.declarations.length !== 1) return []
  const [declaration] = statement.declarationList.declarations
  if (!declaration?.initializer || !ts.isIdentifier(declaration.name)) return []
  const call = declaration.initializer
  return isRequire(call) || (isHelperCall(call) && isRequire(call.arguments[0]))
    ? [{statement, name: declaration.name.text, initializer: call}]
    : []
}

function isRequire(node: ts.Node | undefined): boolean {
  if (!node || !ts.isCallExpression(node) || !ts.isIdentifier(node.expression)) return false
  const [specifier] = node.arguments
  return node.expression.text === 'require' && specifier !== undefined && ts.isStringLiteral(specifier)
}

function isHelperCall(node: ts.Expression): node is ts.CallExpression {
  return (
    ts.isCallExpression(node) && ts.isIdentifier(node.expression) && importHelpers.has(node.expression.text)
  )
}

/** True for `name` in `a.name` and `{name: 1}`, which are not uses of a variable. */
function isPropertyName(node: ts.Identifier): boolean {
  const {parent} = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  return (
    (ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent)) &&
    parent.name === node
  )
}

/** True where the identifier introduces a name: a variable, a parameter, a function, a class, a label. */
function isDeclaredHere(node: ts.Identifier): boolean {
  const {parent} = node
  if (ts.isLabeledStatement(parent) || ts.isBreakOrContinueStatement(parent)) return true
  return (
    (ts.isVariableDeclaration(parent) ||
      ts.isParameter(parent) ||
      ts.isBindingElement(parent) ||
      ts.isFunctionLike(parent) ||
      ts.isClassLike(parent)) &&
    parent.name === node
  )
}
