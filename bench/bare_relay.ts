/**
 * The shortest path of an event through a daemon and its client in this runtime: it copies bytes, and does nothing else.
 *
 * - `relay ENGINE_SOCKET SOCKET` sends each chunk of the engine's `/events` to all connections
 * - `copy SOCKET` copies what it gets to stdout
 */
const [role, ...paths] = Deno.args as [string, ...string[]];
if (role === "relay") await relay(paths[0]!, paths[1]!);
else await copy(paths[0]!);

async function relay(engineSocket: string, path: string): Promise<void> {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: engineSocket } });
  const filters = encodeURIComponent(JSON.stringify({ type: ["container"] }));
  const { body } = await fetch(`http://localhost/events?filters=${filters}`, { client });
  const connections = new Set<Deno.Conn>();
  const listener = Deno.listen({ transport: "unix", path });
  const accepting = (async () => {
    for await (const connection of listener) connections.add(connection);
  })();
  for await (const chunk of body!) {
    for (const connection of connections) connection.write(chunk).catch(() => connections.delete(connection));
  }
  await accepting;
}

async function copy(path: string): Promise<void> {
  const connection = await Deno.connect({ transport: "unix", path });
  const buffer = new Uint8Array(64 * 1024);
  for (let length = await connection.read(buffer); length !== null; length = await connection.read(buffer)) {
    Deno.stdout.writeSync(buffer.subarray(0, length));
  }
}
