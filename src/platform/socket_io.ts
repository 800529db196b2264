/** Writes all of `bytes`: a single write may take only a part of them. */
export async function writeAll(
  conn: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

/** Closes a connection, listener or file that may already be closed. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

const DISCARD_BYTES = 64 * 1024;

/**
 * Ends our side, then reads and drops what the peer still sends. Closing a Unix socket with unread input resets it, and the
 * peer would lose the reply.
 */
export async function discardRest(conn: Deno.UnixConn): Promise<void> {
  await conn.closeWrite();
  const discarded = new Uint8Array(DISCARD_BYTES);
  for (let count: number | null = 0; count !== null;) count = await conn.read(discarded);
}
