/** What is done alike with every connection of the control socket. */

const DISCARD_BYTES = 64 * 1024;

/** Writes all of it; a write may take less than it is given. */
export async function writeAll(conn: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

/** Closing a Unix socket with input unread resets it, and the client would lose the reply. */
export async function discardRest(conn: Deno.UnixConn): Promise<void> {
  await conn.closeWrite();
  const discarded = new Uint8Array(DISCARD_BYTES);
  for (let count: number | null = 0; count !== null;) count = await conn.read(discarded);
}

/** Closes what may have been closed already. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
