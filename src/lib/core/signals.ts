/**
 * Does `work` under a signal that is aborted with the first of `sources` that is, and with its reason. In place of
 * `AbortSignal.any` wherever that would be called again and again: in Node 20 a source remembers every signal that was
 * made of it as long as it lives itself, which for a hold may be months.
 */
export async function underSignals<T>(
  sources: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const control = new AbortController()
  const follows = sources.map((source) => {
    const follow = (): void => control.abort(source.reason)
    if (source.aborted) follow()
    else source.addEventListener('abort', follow, {once: true})
    return {source, follow}
  })
  try {
    return await work(control.signal)
  } finally {
    for (const {source, follow} of follows) source.removeEventListener('abort', follow)
  }
}
