/** Replaces `native/readers.c` on machines without a C compiler: the same arguments and output, but slower. */
const LINE_BYTES = 231;
const BUFFER_BYTES = 256 * 1024;

const [eventsPath, controlPath] = Deno.args as [string, string];
const [subscribers, lines, bursts, pauseMs] = Deno.args.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
];
const print = (text: string): Promise<number> => Deno.stdout.write(new TextEncoder().encode(`${text}\n`));

let due = 0;
let drained = Promise.withResolvers<void>();
/** Shared by all readers, because its contents are not used. */
const buffer = new Uint8Array(BUFFER_BYTES);

async function read(connection: Deno.Conn): Promise<void> {
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    due -= count;
    if (due === 0) drained.resolve();
  }
  throw new Error("a subscriber was disconnected");
}

async function connect(path: string): Promise<Deno.UnixConn> {
  for (;;) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

const reading: Promise<void>[] = [];
for (let n = 0; n < subscribers; n++) reading.push(read(await connect(eventsPath)));
const control = await connect(controlPath);
await control.write(new Uint8Array(4));
await control.read(new Uint8Array(1));
await print("ready");
const stdin = Deno.stdin.readable.getReader();
await stdin.read();
const request = new Uint8Array(4);
new DataView(request.buffer).setUint32(0, lines, true);
for (let burst = 0; burst < bursts; burst++) {
  drained = Promise.withResolvers();
  due = LINE_BYTES * lines * subscribers;
  const start = performance.now();
  await control.write(request);
  await Promise.race([drained.promise, ...burst === 0 ? reading : []]);
  await print(String(Math.round((performance.now() - start) * 1e6)));
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
await print("end");
