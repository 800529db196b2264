import { assert, assertEquals, assertGreater, assertStringIncludes, fail } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";
import { EventsServer } from "../../../src/daemon/events_socket/events_server.ts";
import { type Clock, systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { closeQuietly } from "../../../src/platform/unix_socket.ts";
import { memoryLog } from "../../support/daemons/journaled_log.ts";
import { eventOf, lineOf } from "../../support/daemons/wire_events.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { readText } from "../../support/socket_pairs.ts";

/** A server on a socket of its own, and the clients of one test. */
class Fixture implements AsyncDisposable {
  readonly path: string;
  readonly log = memoryLog({ clock: systemClock });
  readonly server: EventsServer;
  readonly warnings: string[] = [];
  readonly #dir: string;
  readonly #clients: Deno.UnixConn[] = [];

  static async start(options: { maxSubscribers?: number; clock?: Clock } = {}): Promise<Fixture> {
    const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
    return new Fixture(dir, options);
  }

  private constructor(dir: string, options: { maxSubscribers?: number; clock?: Clock }) {
    this.#dir = dir;
    this.path = `${dir}/events.socket`;
    const warn = (message: string): void => void this.warnings.push(message);
    this.server = new EventsServer({
      listener: Deno.listen({ transport: "unix", path: this.path }),
      log: this.log,
      clock: systemClock,
      logger: { ...silentLogger, warn },
      ...options,
    });
  }

  /** Connects, and tries again while the backlog is full. */
  async connect(): Promise<Deno.UnixConn> {
    for (;;) {
      try {
        const client = await Deno.connect({ transport: "unix", path: this.path });
        this.#clients.push(client);
        return client;
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  }

  /** Connects `count` clients and waits until they are registered. */
  async subscribers(count: number): Promise<Deno.UnixConn[]> {
    const clients: Deno.UnixConn[] = [];
    while (clients.length < count) clients.push(await this.connect());
    await this.server.barrier();
    return clients;
  }

  /** Waits, turn by turn of the event loop, until `condition` holds: the kernel reports a hang-up at any time. */
  async settles(condition: () => boolean): Promise<void> {
    for (let round = 0; !condition(); round++) {
      if (round > 10_000) fail("it did not settle");
      await this.server.barrier();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) closeQuietly(client);
    await this.server[Symbol.asyncDispose]();
    await this.log[Symbol.asyncDispose]();
    await Deno.remove(this.#dir, { recursive: true });
  }
}

Deno.test("EventsServer sends every event to each subscriber, in order", async () => {
  await using fixture = await Fixture.start();
  const clients = await fixture.subscribers(3);
  for (const text of ["one", "two", "three"]) fixture.log.append(eventOf(text));
  const expected = ["one", "two", "three"].map((text) => lineOf(eventOf(text))).join("");
  for (const client of clients) assertEquals(await readText(client, expected.slice(-30)), expected);
  assertEquals(fixture.server.stats(), { subscribers: 3, halfClosed: 0, refused: 0 });
});

Deno.test("EventsServer reads and discards any amount of a subscriber's input", async () => {
  await using fixture = await Fixture.start();
  const [client] = await fixture.subscribers(1);
  const megabyte = new Uint8Array(1024 * 1024).fill(120);
  for (let sent = 0; sent < megabyte.length;) sent += await client!.write(megabyte.subarray(sent));
  fixture.log.append(eventOf("still here"));
  assertEquals(await readText(client!, "\n"), lineOf(eventOf("still here")));
});

Deno.test("EventsServer continues to send after a half-close, and drops a subscriber that hung up at the next event", async () => {
  await using fixture = await Fixture.start();
  const [halfClosed, gone, other] = await fixture.subscribers(3);
  await halfClosed!.closeWrite();
  gone!.close();
  for (const text of ["one", "two"]) {
    fixture.log.append(eventOf(text));
    for (const client of [halfClosed!, other!]) {
      assertEquals(await readText(client, "\n"), lineOf(eventOf(text)));
    }
  }
  assertEquals(fixture.server.stats().subscribers, 2);
});

Deno.test("EventsServer drops a subscriber that has hung up, even without an event", async () => {
  const clock = new FakeClock();
  await using fixture = await Fixture.start({ clock });
  const [stays, ...others] = await fixture.subscribers(50);
  await stays!.closeWrite();
  for (const client of others) client.close();
  await fixture.settles(() => fixture.server.stats().subscribers === 1);
  assertEquals(fixture.server.stats().halfClosed, 1);
  // A subscriber that first closes its end of writing and hangs up later is found by the next probe.
  stays!.close();
  await fixture.server.barrier();
  clock.advance(5_000);
  await fixture.settles(() => fixture.server.stats().subscribers === 0);
});

Deno.test("EventsServer keeps 1,024 half-closed subscribers, and drops the oldest above that", async () => {
  await using fixture = await Fixture.start();
  const clients = await fixture.subscribers(1_026);
  // One after the other, each after the previous round trip, so that the order is known.
  for (const client of clients.slice(0, 3)) {
    await client.closeWrite();
    await fixture.server.barrier();
  }
  for (const client of clients.slice(3)) await client.closeWrite();
  for (const oldest of clients.slice(0, 2)) assertEquals(await readText(oldest), "");
  fixture.log.append(eventOf("for the rest"));
  for (const client of clients.slice(2)) {
    assertEquals(await readText(client, "\n"), lineOf(eventOf("for the rest")));
  }
  assertEquals(fixture.server.stats(), { subscribers: 1_024, halfClosed: 1_024, refused: 0 });
});

Deno.test("EventsServer closes a connection above its maximum at once, logs that, and its barrier still passes", async () => {
  await using fixture = await Fixture.start({ maxSubscribers: 2 });
  const [first] = await fixture.subscribers(2);
  for (let n = 0; n < 5; n++) {
    const refused = await fixture.connect();
    assertEquals(await readText(refused), "");
  }
  await fixture.server.barrier();
  assertEquals(fixture.warnings, ["events socket: full, refusing more than 2"]);
  assertGreater(fixture.server.stats().refused, 4);
  first!.close();
  fixture.log.append(eventOf("frees a place"));
  // When the other subscriber has read the event, the failed write has ended the first one.
  const [third] = await fixture.subscribers(1);
  fixture.log.append(eventOf("welcome"));
  assertEquals(await readText(third!, "\n"), lineOf(eventOf("welcome")));
});

Deno.test("EventsServer.barrier() covers every earlier connection, while 2,000 clients connect", async () => {
  await using fixture = await Fixture.start();
  const { log, server } = fixture;
  const connected: Deno.UnixConn[] = [];
  /** The number of the first event that each connection must receive. */
  const firstDue = new Map<Deno.UnixConn, number>();
  let nextConnection = Promise.withResolvers<void>();
  const connecting = Promise.all(Array.from({ length: 2_000 }, async () => {
    connected.push(await fixture.connect());
    nextConnection.resolve();
  }));
  let rounds = 0;
  for (let covered = 0; covered < 2_000; rounds++) {
    // Called in the turn in which a client has connected, which the accept loop cannot have accepted yet.
    if (covered === connected.length) await nextConnection.promise;
    nextConnection = Promise.withResolvers();
    const before = connected.length;
    await server.barrier();
    for (; covered < before; covered++) firstDue.set(connected[covered]!, rounds);
    log.append(eventOf(`round ${rounds}.`));
  }
  await connecting;
  assertGreater(rounds, 1);
  assertEquals(firstDue.size, 2_000);
  log.append(eventOf("last"));
  for (const [client, due] of firstDue) {
    const text = await readText(client, lineOf(eventOf("last")));
    const first = due === rounds ? "last" : `round ${due}.`;
    assertStringIncludes(text, first);
  }
  assertEquals(fixture.warnings, []);
});

Deno.test("EventsServer.barrier() is shared: a call during a barrier waits for the next one", async () => {
  await using fixture = await Fixture.start();
  const { server } = fixture;
  const first = server.barrier();
  const second = server.barrier();
  assert(first !== second && second === server.barrier());
  await Promise.all([first, second]);
  await server.barrier();
  // The connections of the barrier are not subscribers.
  assertEquals(server.stats(), { subscribers: 0, halfClosed: 0, refused: 0 });
});

Deno.test("EventsServer.barrier() runs one proof at a time, whenever it is called", async () => {
  await using fixture = await Fixture.start();
  // Callers that return in every microtask after a proof: two proofs at once would share the token, and one would time out.
  await Promise.all(Array.from({ length: 16 }, async (_, microtasks) => {
    for (let round = 0; round < 20; round++) {
      await fixture.server.barrier();
      for (let count = 0; count < microtasks; count++) await undefined;
    }
  }));
  assertEquals(fixture.warnings, []);
});

Deno.test("EventsServer.barrier() passes with a warning if the socket was unlinked", async () => {
  await using fixture = await Fixture.start();
  await Deno.remove(fixture.path);
  await fixture.server.barrier();
  assertEquals(fixture.warnings.length, 1);
  assertStringIncludes(fixture.warnings[0]!, "may be registered late");
});

Deno.test("EventsServer delivers the remaining events when it is disposed, once or twice", async () => {
  await using fixture = await Fixture.start();
  const clients = await fixture.subscribers(200);
  fixture.log.append(eventOf("goodbye"));
  const barrier = fixture.server.barrier();
  const texts = clients.map((client) => readText(client));
  await Promise.all([fixture.server[Symbol.asyncDispose](), fixture.server[Symbol.asyncDispose]()]);
  for (const text of await Promise.all(texts)) assertEquals(text, lineOf(eventOf("goodbye")));
  await barrier;
  await fixture.server.barrier();
  assertEquals(fixture.server.stats().subscribers, 0);
  assertEquals(fixture.log.stats().subscribers, 0);
});

Deno.test("EventsServer recovers after it has run out of descriptors", async () => {
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
  const path = `${dir}/events.socket`;
  const script = new URL("../../support/daemons/events_server_child.ts", import.meta.url).pathname;
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'ulimit -n 64; exec "$0" "$@"', Deno.execPath(), "run", "-A", "--no-check", script, path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const clients: Deno.UnixConn[] = [];
  const stdin = child.stdin.getWriter();
  const stdout = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .getReader();
  const command = (line: string): Promise<void> => stdin.write(new TextEncoder().encode(`${line}\n`));
  /** Reads to the line that begins with `words`. @throws at the end of the output */
  const said = async (words: string): Promise<void> => {
    for (;;) {
      const line = (await stdout.read()).value ?? fail(`it ended without saying "${words}"`);
      if (line.startsWith(words)) return;
    }
  };
  try {
    await said("ready");
    while (clients.length < 60) clients.push(await Deno.connect({ transport: "unix", path }));
    await said("cannot accept");
    // These clients have hung up. The server notices at the next event, and then has free descriptors.
    for (const client of clients.slice(0, 40)) client.close();
    await command("anybody there?");
    await command("barrier");
    await said("passed");
    await command("to the last one");
    assertEquals(await readText(clients.at(-1)!, "\n"), lineOf(eventOf("to the last one")));
  } finally {
    for (const client of clients) closeQuietly(client);
    await stdin.close();
    await stdout.cancel();
    await child.status;
    await Deno.remove(dir, { recursive: true });
  }
});
