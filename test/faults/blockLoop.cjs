// Loaded into leash in front of it: at SIGWINCH its event loop stands still, for so many milliseconds.
process.on('SIGWINCH', () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.env.BLOCK_LOOP_MS))
})
