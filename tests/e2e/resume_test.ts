/** Consumers lose no event, even if the daemon is killed, or the consumer is frozen. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import { ApexHome, type ApexProcess, EventsReader, eventually } from "../support/daemons/apex_process.ts";
import { EngineLoad, EVENTS_PER_CONTAINER } from "../support/engines/engine_load.ts";
import { isSoak, soakCount } from "../support/soak.ts";

const KILLS = soakCount({ usual: 12, soak: 100 });
const EVENTS_PER_SECOND = 2_000;
/** More than three pipes can hold. */
const WAITING_EVENTS = 8_000;
/** At least 1.5 times as many as the log keeps in memory. */
const FROZEN_FOR_EVENTS = soakCount({ usual: 28_000, soak: 100_000 });

Deno.test("a resuming consumer receives each event once, although the daemon is killed repeatedly", async () => {
  await using home = await ApexHome.create();
  await using load = new EngineLoad(`${home.dir}/load.sock`);
  const engine = ["--engine", `unix://${home.dir}/load.sock`];
  await using processes = new AsyncDisposableStack();
  let daemon = processes.use(await home.startDaemon(engine));
  await using consumer = home.spawn(["events", "--reconnect", "--seq", "--after", await beginning(home)]);
  load.run(EVENTS_PER_SECOND);
  for (let kills = 0; kills < KILLS; kills++) {
    const before = consumer.stdoutSoFar.length;
    await eventually(() => consumer.stdoutSoFar.length > before + 100_000, "the consumer gets events");
    daemon.kill("SIGKILL");
    await daemon.status;
    daemon = processes.use(await home.startDaemon(engine));
  }
  await load.stop();
  await eventually(
    async () => cursorsIn(consumer.stdoutSoFar).at(-1) === await head(home),
    "the consumer has caught up",
  );
  consumer.kill("SIGKILL");

  const { code, stdout } = await home.apex(["history", "--json"]);
  assertEquals(code, 0);
  const published = lines(stdout).map((line) => JSON.parse(line).seq);
  const got = cursorsIn(consumer.stdoutSoFar);
  assert(published.length > KILLS * 100, `enough load: ${published.length} events`);
  assertEquals(published, Array.from(published, (_, index) => index + 1));
  const epoch = got[0]!.split(":")[0];
  // Not assertEquals, which would print a diff of thousands of lines.
  assert(got.length === published.length, `${published.length} events, but ${got.length} were printed`);
  assert(got.every((cursor, index) => cursor === `${epoch}:${published[index]}`), "each once, in order");
});

Deno.test("a consumer with a cursor file resumes after its last printed event", async () => {
  await using home = await ApexHome.create();
  await using load = new EngineLoad(`${home.dir}/load.sock`);
  await using _daemon = await home.startDaemon(["--engine", `unix://${home.dir}/load.sock`]);
  load.run(EVENTS_PER_SECOND);
  const args = ["events", "--seq", "--cursor-file", `${home.dir}/cursor`];
  const got: string[] = [];
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    await using consumer = home.spawn(args);
    await eventually(() => consumer.stdoutSoFar.length > 100_000, "the consumer gets events");
    consumer.kill(signal);
    const { code, stdout } = await consumer.finished();
    assertEquals(code, 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal]);
    got.push(...cursorsIn(await whole(stdout, `${home.dir}/cursor`)));
  }
  const first = cursorOf(got[0]!).seq;
  assertEquals(got.map((cursor) => cursorOf(cursor).seq), Array.from(got, (_, index) => first + index));
});

Deno.test("a cursor file holds the last event that a paused reader has received when its consumer ends", async () => {
  await using home = await ApexHome.create();
  await using load = new EngineLoad(`${home.dir}/load.sock`);
  await using _daemon = await home.startDaemon(["--engine", `unix://${home.dir}/load.sock`]);
  const cursor = `${home.dir}/cursor`;
  await Deno.writeTextFile(cursor, await beginning(home));
  await load.live(WAITING_EVENTS / EVENTS_PER_CONTAINER);
  const got: string[] = [];
  for (const [round, signal] of (["SIGTERM", "SIGINT", "SIGHUP"] as const).entries()) {
    const fifo = `${home.dir}/fifo${round}`;
    await mkfifo(fifo);
    await using consumer = home.spawn(["events", "--seq", "--cursor-file", cursor], {
      wrap: ["/bin/sh", "-c", 'exec "$@" >"$0"', fifo],
    });
    using reader = await Deno.open(fifo);
    const first = new Uint8Array(3_000);
    const count = (await reader.read(first))!;
    // More than the first piece, so the file was written again, long after the pipe was full.
    const enough = got.length + 50;
    await eventually(async () => (await seqIn(cursor)) > enough, "the events in the pipe count as printed");
    consumer.kill(signal);
    await consumer.finished();
    const rest = await new Response(reader.readable).text();
    const text = await whole(new TextDecoder().decode(first.subarray(0, count)) + rest, cursor);
    got.push(...cursorsIn(text));
  }
  assertEquals(got.map((text) => cursorOf(text).seq), Array.from(got, (_, index) => index + 1));
});

Deno.test("a frozen resumable subscriber catches up, a frozen bare one is dropped, and a third is not slowed down", async () => {
  await using home = await ApexHome.create();
  await using load = new EngineLoad(`${home.dir}/load.sock`);
  await using _daemon = await home.startDaemon(["--engine", `unix://${home.dir}/load.sock`]);
  await using resumable = home.spawn(["events", "--seq", "--after", await beginning(home)]);
  await using bare = home.spawn(["events"]);
  using reader = await EventsReader.connect(home.eventsSocket);
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).subscribers === 3,
    "all have subscribed",
  );
  for (const frozen of [resumable, bare]) frozen.kill("SIGSTOP");
  // The third subscriber receives each piece before the next one is published.
  await publish(load, { reader, containers: FROZEN_FOR_EVENTS / EVENTS_PER_CONTAINER });
  assert(
    (await request(home.controlSocket, "status", {})).log.oldest > 5_000,
    "memory no longer holds the first events",
  );
  for (const frozen of [resumable, bare]) frozen.kill("SIGCONT");

  const dropped = await bare.finished();
  assertEquals(dropped.code, 6);
  const { log: { head, epoch } } = await request(home.controlSocket, "status", {});
  await eventually(
    () => cursorsIn(resumable.stdoutSoFar).at(-1) === `${epoch}:${head}`,
    "the resumable subscriber has caught up",
  );
  const got = cursorsIn(resumable.stdoutSoFar);
  assert(got.length === head, `${head} events, but ${got.length} arrived`);
  assert(got.every((cursor, index) => cursor === `${epoch}:${index + 1}`), "each once, in order");
  assert(lines(dropped.stdout).length < head, "the bare subscriber missed events");
});

Deno.test({
  name: "a subscriber that is frozen until the daemon drops it resumes from its cursor",
  ignore: !isSoak(),
  fn: async () => {
    await using home = await ApexHome.create();
    await using load = new EngineLoad(`${home.dir}/load.sock`);
    await using _daemon = await home.startDaemon(["--engine", `unix://${home.dir}/load.sock`]);
    await using frozen = home.spawn(["events", "--reconnect", "--seq", "--after", await beginning(home)]);
    await using reader = await EventsReader.connect(home.eventsSocket);
    const untilSubscribed = (count: number): Promise<void> =>
      eventually(
        async () => (await request(home.controlSocket, "status", {})).subscribers === count,
        `${count} subscribers`,
        { limitMs: 60_000 },
      );
    await untilSubscribed(2);
    frozen.kill("SIGSTOP");
    await publish(load, { reader, containers: WAITING_EVENTS / EVENTS_PER_CONTAINER });
    await untilSubscribed(1);
    await publish(load, { reader, containers: 2 * WAITING_EVENTS / EVENTS_PER_CONTAINER });
    frozen.kill("SIGCONT");

    const { log: { head, epoch } } = await request(home.controlSocket, "status", {});
    await eventually(() => cursorsIn(frozen.stdoutSoFar).at(-1) === `${epoch}:${head}`, "it has caught up");
    assertMatch(frozen.stderrSoFar, /reconnected, resuming after/);
    const got = cursorsIn(frozen.stdoutSoFar);
    assert(got.length === head, `${head} events, but ${got.length} arrived`);
    assert(got.every((cursor, index) => cursor === `${epoch}:${index + 1}`), "each once, in order");
    await untilSubscribed(2);
  },
});

/** Publishes events in pieces; the reader receives each piece before the next one. */
async function publish(
  load: EngineLoad,
  { reader, containers }: { readonly reader: EventsReader; readonly containers: number },
): Promise<void> {
  const PIECE = 100;
  for (let done = 0; done < containers; done += PIECE) {
    await load.live(PIECE);
    const last = (load.sent / EVENTS_PER_CONTAINER).toString(16).padStart(64, "0");
    await reader.until((event) => event.type === "container.removed" && event.containerId === last);
  }
}

/** Checks that the output ends with a whole line, and that the cursor file holds the cursor of that line. */
async function whole(stdout: string, cursorFile: string): Promise<string> {
  assert(stdout.endsWith("\n"), `a line was cut: ${stdout.slice(-300)}`);
  assertEquals(await Deno.readTextFile(cursorFile), `${cursorsIn(stdout).at(-1)}\n`);
  return stdout;
}

async function seqIn(cursorFile: string): Promise<number> {
  return cursorOf((await Deno.readTextFile(cursorFile)).trim()).seq;
}

async function mkfifo(path: string): Promise<void> {
  assertEquals((await new Deno.Command("mkfifo", { args: [path] }).output()).code, 0);
}

/** The cursor before the first event. */
async function beginning(home: ApexHome): Promise<string> {
  return `${(await request(home.controlSocket, "status", {})).log.epoch}:0`;
}

async function head(home: ApexHome): Promise<string> {
  const { log: { epoch, head } } = await request(home.controlSocket, "status", {});
  return `${epoch}:${head}`;
}

/** The whole lines of a process's output, without an unfinished last one. */
function lines(output: ApexProcess["stdoutSoFar"]): string[] {
  return output.split("\n").slice(0, -1);
}

function cursorsIn(output: string): string[] {
  return lines(output).map((line) => JSON.parse(line).cursor);
}

function cursorOf(text: string): { readonly epoch: string; readonly seq: number } {
  const [epoch, seq] = text.split(":");
  return { epoch: epoch!, seq: Number(seq) };
}
