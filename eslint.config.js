import js from '@eslint/js'
import tseslint from 'typescript-eslint'

/** The import directions of ARCHITECTURE.md. Each folder of src/lib names what it may not import. */
const outside = (folder, forbidden, message) => ({
  files: [`src/lib/${folder}/**/*.ts`],
  rules: {'no-restricted-imports': ['error', {patterns: [{regex: forbidden, message}]}]},
})
const etcd3 = '^(etcd3|@grpc/)'
const frameworks = '^(@oclif/|ora$|inquirer$|@inquirer/|etcd3|@grpc/)'

export default tseslint.config(
  {ignores: ['dist', '.cache', 'coverage', 'bin/leash.cjs']},
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {parserOptions: {projectService: true, tsconfigRootDir: import.meta.dirname}},
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', {ignoreRestSiblings: true}],
    },
  },
  {files: ['**/*.{js,mjs,cjs}'], languageOptions: {globals: {process: 'readonly', console: 'readonly'}}},
  {
    files: ['src/**/*.ts'],
    ignores: ['src/lib/etcd/**', 'src/lib/local/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {regex: etcd3, message: 'Only src/lib/etcd speaks to etcd3, and src/lib/local in its place.'},
          ],
        },
      ],
    },
  },
  outside(
    'core',
    `${frameworks}|^node:(?!util)|/(etcd|local|child|config|output|handle|commands)/`,
    'core is pure: ports only.',
  ),
  outside(
    'etcd',
    '^(@oclif/|ora$|inquirer$|@inquirer/)|/(child|config|output|handle|commands)/',
    'etcd implements ports of core, nothing else.',
  ),
  outside(
    'local',
    '^(@oclif/|ora$|inquirer$|@inquirer/|etcd3)|/(etcd|child|config|output|handle|commands)/',
    'local is a server of its own, which knows core only.',
  ),
  outside('child', `${frameworks}|/(etcd|local|output|config|commands)/`, 'child knows core only.'),
  outside('config', `${etcd3}|^ora$|/(etcd|local|child|output|commands)/`, 'config knows core only.'),
  outside(
    'handle',
    `${frameworks}|/(etcd|local|config|output|commands)/`,
    'handle knows core, and child, whose guard a keeper has.',
  ),
  outside('output', `${etcd3}|^@oclif/|/(etcd|local|child|config|commands)/`, 'output knows core only.'),
  {
    files: ['src/lib/core/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', 'process', 'setTimeout', 'setInterval', 'performance'],
      'no-restricted-syntax': [
        'error',
        {selector: "MemberExpression[object.name='Date']", message: 'Time comes from the clock port.'},
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'Time comes from the clock port.',
        },
      ],
    },
  },
)
