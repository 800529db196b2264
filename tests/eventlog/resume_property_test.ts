/**
 * The guarantee of cursors, under random sequences of publishing, stalling, disconnecting, resuming, and killing the daemon:
 * all streams of a subscriber together contain every event of the journal exactly once, in order.
 */
import { assert, assertEquals } from "@std/assert";
import { resumeCursor } from "../../src/eventlog/resumable_feed.ts";
import type { Subscription } from "../../src/eventlog/subscription.ts";
import type { WireEvent } from "../../src/protocol/wire_event.ts";
import { EventFilter } from "../../src/storage/journal/event_filter.ts";
import {
  containerEvent,
  JournaledLog,
  killedAt,
  settled,
  taskEvent,
} from "../support/daemons/journaled_log.ts";
import { type StreamLine, StreamTaker } from "../support/daemons/stream_taker.ts";
import { eventOf } from "../support/daemons/wire_events.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { randomOf } from "../support/random.ts";
import { TempDir } from "../support/temp_dir.ts";

const STEPS = 250;
/** So small that a subscriber that stalls for some steps falls behind memory. */
const SMALL = { segmentBytes: 2_048, retainedBytes: 8_192 };
const ALL = { maxRows: 1_000_000, maxBytes: 1e9 };
const HEARTBEAT_MS = 1_000;

const FILTERS = [
  {},
  { types: ["container.*"] },
  { types: ["task.started", "*.operation_failed"] },
  { taskId: "t1" },
  { container: "web" },
];

/** A subscriber that resumes again and again. It knows only what its streams contained. */
class Consumer {
  readonly filter: EventFilter;
  /** The events as text, with their numbers. */
  readonly events: string[] = [];
  readonly gaps: StreamLine[] = [];
  /** Where its first stream started. */
  firstCursor: string | undefined;
  #cursor: string | undefined;
  #taker: StreamTaker | undefined;
  #subscription: Subscription | undefined;

  constructor(filter: EventFilter) {
    this.filter = filter;
  }

  get isConnected(): boolean {
    return this.#taker !== undefined;
  }

  connect(daemon: JournaledLog, maxBytes: () => number): void {
    this.#taker = new StreamTaker(maxBytes);
    this.#subscription = daemon.log.subscribeResumable({
      connection: this.#taker,
      filter: this.filter,
      heartbeatMs: HEARTBEAT_MS,
      ...(this.#cursor !== undefined && { after: resumeCursor(this.#cursor) }),
    });
  }

  stall(): void {
    this.#taker?.stall();
  }

  goOn(): void {
    this.#taker?.goOn();
  }

  /** Disconnects, or the daemon was killed: only whole lines count. */
  disconnect(): void {
    let epoch = "";
    for (const [index, line] of this.#taker!.lines.entries()) {
      if (typeof line.epoch === "string") epoch = line.epoch;
      if (line.type === "stream.gap") {
        this.gaps.push(line);
        [epoch] = String(line.to).split(":") as [string];
        this.#cursor = String(line.to);
      } else if (line.seq !== undefined) {
        this.events.push(this.#taker!.text[index]!);
        this.#cursor = `${epoch}:${line.seq}`;
      } else if (line.type === "stream.heartbeat" || this.#cursor === undefined) {
        this.#cursor = String(line.cursor);
        this.firstCursor ??= this.#cursor;
      }
    }
    this.#taker = undefined;
    this.#subscription!.close();
  }
}

function randomEvent(random: () => number): WireEvent {
  const kind = random();
  if (kind < 0.4) return taskEvent(`t${Math.floor(random() * 3)}`);
  if (kind < 0.7) return containerEvent(random() < 0.5 ? "web" : "db", `c${Math.floor(random() * 9_999)}`);
  return eventOf("é".repeat(random() < 0.02 ? 3_000 : random() * 200));
}

async function run(seed: number, dir: TempDir): Promise<void> {
  const random = randomOf(seed);
  const clock = new FakeClock();
  let lives = 0;
  let boots = 0;
  const options = () => ({ clock, log: SMALL, bootId: `boot ${boots}` });
  await using stack = new AsyncDisposableStack();
  let path = dir.join(`${seed}-${lives}.db`);
  let daemon = stack.use(new JournaledLog(path, options()));
  const consumers = FILTERS.map((filter) => new Consumer(new EventFilter(filter)));
  const maxBytes = (): number => random() < 0.3 ? random() * 300 : Infinity;
  const some = (): Consumer => consumers[Math.floor(random() * consumers.length)]!;
  for (let step = 0; step < STEPS; step++) {
    const action = random();
    if (action < 0.55) {
      for (let n = random() * 40; n > 0; n--) {
        daemon.log.append(randomEvent(random));
        if (random() < 0.2) await settled(1);
      }
    } else if (action < 0.65) some().stall();
    else if (action < 0.78) some().goOn();
    else if (action < 0.84) clock.advance(HEARTBEAT_MS);
    else if (action < 0.98) {
      const consumer = some();
      if (consumer.isConnected) consumer.disconnect();
      else consumer.connect(daemon, maxBytes);
    } else {
      // Often within a block: the last events are lost, and no subscriber has seen them.
      if (random() < 0.3) boots++;
      const killed = daemon;
      path = killedAt(path, dir.join(`${seed}-${++lives}.db`));
      for (const consumer of consumers) if (consumer.isConnected) consumer.disconnect();
      daemon = stack.use(new JournaledLog(path, options()));
      // The killed daemon's file is a copy by now.
      await killed[Symbol.asyncDispose]();
    }
    if (random() < 0.5) await settled(1);
  }
  for (const consumer of consumers) {
    if (!consumer.isConnected) consumer.connect(daemon, maxBytes);
    consumer.goOn();
  }
  await settled(500);
  const journaled = daemon.journal.read({ afterSeq: 0, ...ALL })!;
  assertEquals(journaled.length, daemon.log.stats().headSeq);
  for (const consumer of consumers) {
    consumer.disconnect();
    const first = Number(consumer.firstCursor?.split(":")[1]) + 1;
    const expected = journaled
      .filter((event) => event.seq >= first && consumer.filter.matches(event))
      .map(({ seq, line }) => `{"seq":${seq},${new TextDecoder().decode(line).slice(1)}`);
    assertEquals(consumer.events, expected);
    // The epoch ended with the reboot, but no event is missing.
    for (const { reason, from, to } of consumer.gaps) {
      assertEquals([reason, String(to).split(":")[1]], ["epoch", String(from).split(":")[1]]);
    }
  }
  assert(lives > 0 && journaled.length > 1_000, "a course that proves little");
}

Deno.test("a subscriber that resumes by cursor gets every event exactly once, in order, whatever happens in between", async (t) => {
  await using dir = await TempDir.make();
  for (let seed = 1; seed <= 12; seed++) await t.step(`seed ${seed}`, () => run(seed, dir));
});
