import {defineConfig} from 'vitest/config'

const faults = ['faults', 'crowd', 'candidates'].map((name) => `test/faults/${name}.test.ts`)

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Each fault has etcd and two jobs of its own, in a TTL of 3 s: on two processors more of them disturb each other.
    maxConcurrency: 3,
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: ['test/**/*.test.ts'],
          exclude: faults,
          sequence: {groupOrder: 0},
          // They wait more than they work: for leases, for processes to end. On two processors Vitest would take one.
          maxWorkers: 2,
        },
      },
      // When nothing else runs any more.
      {extends: true, test: {name: 'faults', include: faults, sequence: {groupOrder: 1}}},
    ],
  },
})
