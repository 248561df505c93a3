/** Loaded into a server by `--import`, with `--expose-gc`: on SIGUSR2 it lets go of what nobody uses any more. */
process.on("SIGUSR2", () => {
  const { gc } = globalThis;
  gc?.();
});
