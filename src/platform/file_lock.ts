/** Between two looks at whoever holds the lock. */
const POLL_MS = 10;

/**
 * Locks a file for this process, creating it (0600) if need be. The kernel frees it with the process, however that
 * ends, or when the returned file is closed; so the file itself is never unlinked.
 *
 * Deno 2.4 can only wait for a lock, and a wait cannot be cancelled. So `whileHeld` is called again and again as long as
 * somebody else has it, and throws to give up; the wait is then left behind, and only the end of the process ends it.
 */
export async function lockFile(path: string, whileHeld: () => Promise<void>): Promise<Deno.FsFile> {
  const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
  let locked = false;
  const locking = file.lock(true).then(() => {
    locked = true;
  });
  while (true) {
    const { promise: polled, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, POLL_MS);
    await Promise.race([locking, polled]);
    clearTimeout(timer);
    if (locked) return file;
    await whileHeld();
    if (locked) return file;
  }
}
