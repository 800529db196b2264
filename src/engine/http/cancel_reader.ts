/** Cancels what a reader reads from, in whatever state that is. */
export async function cancelReader(reader: ReadableStreamDefaultReader<unknown>): Promise<void> {
  try {
    await reader.cancel();
  } catch (_error) {
    // It had broken before: there is nothing left to cancel, and `read` tells why.
  }
}
