// Loaded into leash in front of it: a bug on demand.
process.on('SIGWINCH', () => {
  throw new Error('unforeseen')
})
