import { assertEquals } from "@std/assert";
import { heardLines } from "../../../src/cli/connection/heard_lines.ts";
import { LineChunks, LineStream } from "../../../src/client/line_stream.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

const LINE = new TextEncoder().encode('{"type":"stream.heartbeat"}\n');
const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 3 * HEARTBEAT_MS;
const GRACE_MS = 250;

/** A process that can be stopped: its timers fire when it goes on. */
class StoppableClock implements Clock {
  readonly inner = new FakeClock();
  #stoppedMs = 0;

  now(): number {
    return this.inner.now() + this.#stoppedMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.inner.after(delayMs, callback);
  }

  /** Time goes by, and the timers that fall due meanwhile fire late. */
  stopFor(ms: number, { untilTimerMs }: { untilTimerMs: number }): void {
    this.#stoppedMs += ms - untilTimerMs;
    this.inner.advance(untilTimerMs);
  }
}

/** A stream on which nothing comes until a test says so. */
function silentStream() {
  const read = Promise.withResolvers<number | null>();
  let buffer: Uint8Array = new Uint8Array(0);
  const chunks = new LineChunks({
    read(into) {
      buffer = into;
      return read.promise;
    },
  }, { socketPath: "/nowhere", maxLineBytes: 1_024 });
  return {
    stream: new LineStream({ chunks, close: () => read.resolve(null), signal: undefined }),
    come() {
      buffer.set(LINE);
      read.resolve(LINE.length);
    },
  };
}

Deno.test("heardLines() takes three missing heartbeats for silence, after a moment for what is unread", async () => {
  const clock = new FakeClock();
  const { stream } = silentStream();
  const heard = heardLines(stream, { heartbeatMs: HEARTBEAT_MS, clock });
  clock.advance(SILENCE_MS + GRACE_MS);
  assertEquals(await within(20_000, "the silence", heard), "silent");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("heardLines() takes what is readable when the time is up", async () => {
  const clock = new FakeClock();
  const { stream, come } = silentStream();
  const heard = heardLines(stream, { heartbeatMs: HEARTBEAT_MS, clock });
  clock.advance(SILENCE_MS);
  come();
  assertEquals(await within(20_000, "a line", heard), LINE);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("heardLines() waits anew after this process was stopped", async () => {
  const clock = new StoppableClock();
  const { stream } = silentStream();
  const heard = heardLines(stream, { heartbeatMs: HEARTBEAT_MS, clock });
  clock.stopFor(600_000, { untilTimerMs: SILENCE_MS });
  clock.inner.advance(SILENCE_MS - 1);
  // Stopped once more, in the moment for what is unread.
  clock.inner.advance(1);
  clock.stopFor(600_000, { untilTimerMs: GRACE_MS });
  assertEquals(clock.inner.pendingTimers, 1);
  clock.inner.advance(SILENCE_MS + GRACE_MS - 1);
  assertEquals(clock.inner.pendingTimers, 1);
  clock.inner.advance(1);
  assertEquals(await within(20_000, "the silence", heard), "silent");
});
