/**
 * `bare_terminal.ts relay ENGINE CONTAINER SOCKET`, `bare_terminal.ts attach SOCKET`
 *
 * A terminal that two processes connect to a container, in the runtime of apex: loops that copy bytes, without frames and
 * without a screen. The difference to apex is the cost of apex itself; the difference to docker is the cost of the runtime.
 */
import { attachContainer } from "../src/engine/attach_connection.ts";

const BYTES = 64 * 1024;

interface Source {
  read(buffer: Uint8Array): Promise<number | null>;
}

const [role, ...args] = Deno.args as [string, string, string, string];
if (role === "relay") await relay(args);
else await attach(args[0]!);

async function relay([socketPath, id, path]: readonly string[]): Promise<void> {
  using listener = Deno.listen({ transport: "unix", path: path! });
  const container = await attachContainer({
    socketPath: socketPath!,
    id: id!,
    apiVersion: "1.41",
    stdin: true,
  });
  // It accepts only one client, so others cannot connect to test whether it listens.
  Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
  const client = await listener.accept();
  const output = untilClosed(copy(container, (bytes) => writeAll(client, bytes)));
  await untilClosed(copy(client, (bytes) => container.write(bytes)));
  container[Symbol.dispose]();
  await output;
}

/** Ignores that the terminal is closed at the end of the measurement, while output is unread. */
async function untilClosed(copying: Promise<void>): Promise<void> {
  try {
    await copying;
  } catch (error) {
    const isClosed = error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset;
    if (!isClosed) throw error;
  }
}

async function attach(path: string): Promise<void> {
  const conn = await Deno.connect({ transport: "unix", path });
  Deno.stdin.setRaw(true);
  await Promise.all([
    copy(Deno.stdin, (bytes) => writeAll(conn, bytes)),
    copy(conn, (bytes) => {
      for (let written = 0; written < bytes.length;) {
        written += Deno.stdout.writeSync(bytes.subarray(written));
      }
    }),
  ]);
}

async function copy(source: Source, take: (bytes: Uint8Array) => Promise<void> | void): Promise<void> {
  const buffer = new Uint8Array(BYTES);
  for (let count = await source.read(buffer); count !== null; count = await source.read(buffer)) {
    const taken = take(buffer.subarray(0, count));
    if (taken !== undefined) await taken;
  }
}

async function writeAll(conn: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}
