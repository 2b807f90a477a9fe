/** Things to give back together, in reverse order, each even if another one fails to go. */
export class Belongings implements AsyncDisposable {
  readonly #things: AsyncDisposable[] = []

  add<T extends AsyncDisposable>(thing: T): T {
    this.#things.push(thing)
    return thing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (const thing of this.#things.splice(0).reverse()) {
      try {
        await thing[Symbol.asyncDispose]()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be given back')
  }
}
