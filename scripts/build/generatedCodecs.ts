import type {OnResolveArgs, OnResolveResult, Plugin} from 'esbuild'

const namespace = 'left-out'

/** Resolves a package to a module that throws: whoever asks for it goes on without. */
export const leftOut = ({path}: OnResolveArgs): OnResolveResult => ({path, namespace})

/**
 * Gives one importer the codecs that were made at build time in the place of `@grpc/proto-loader`, which no other one gets:
 * grpc-js has services of its own (channelz, ORCA) that leash does not use.
 *
 * @param importer a part of its path
 * @param standIn see codecs.ts
 */
export function generatedCodecs(importer: string, standIn: string): Plugin {
  return {
    name: 'generated-codecs',
    setup(build) {
      build.onResolve({filter: /^@grpc\/proto-loader$/}, (args) =>
        args.importer.includes(importer) ? {path: standIn} : leftOut(args),
      )
      build.onLoad({filter: /.*/, namespace}, ({path}) => ({
        contents: `throw new Error(${JSON.stringify(`${path} is not part of the bundle`)})`,
      }))
    },
  }
}
