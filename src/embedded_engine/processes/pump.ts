/** From a process's pipe to whoever wants its output, piece by piece. */

/** How long after the end output is still waited for: only a child that escaped can keep a pipe open. */
const DRAIN_TIMEOUT_MS = 500;

export interface PumpOptions {
  /** Awaited before the next piece is read. */
  readonly write: (chunk: Uint8Array) => Promise<void> | void;
  /** Gives up what is not read yet. */
  readonly signal: AbortSignal;
}

/** Resolves at the end of the stream, or once it was given up. */
export async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { write, signal }: PumpOptions,
): Promise<void> {
  let cancelled: Promise<void> | undefined;
  const cancel = () => cancelled = reader.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    await write(value);
  }
  await cancelled;
}

/** The process has ended: waits for the rest of its output, and gives it up when it does not end. */
export async function drained(outputs: Promise<unknown>, cut: AbortController): Promise<void> {
  const timer = setTimeout(() => cut.abort(), DRAIN_TIMEOUT_MS);
  await outputs;
  clearTimeout(timer);
}
