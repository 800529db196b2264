import { assertEquals } from "@std/assert";
import { nextLines } from "../../../src/cli/connection/next_lines.ts";
import { LineChunks } from "../../../src/client/line_chunks.ts";
import { LineStream } from "../../../src/client/line_stream.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

const LINE = new TextEncoder().encode('{"type":"stream.heartbeat"}\n');
const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 3 * HEARTBEAT_MS;
const GRACE_MS = 250;

/** The clock of a process that can be suspended: its timers fire when it is resumed. */
class SuspendableClock implements Clock {
  readonly inner = new FakeClock();
  #suspendedMs = 0;

  now(): number {
    return this.inner.now() + this.#suspendedMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.inner.after(delayMs, callback);
  }

  /** Advances the time; the timers that fall due in it fire late. */
  suspendFor(ms: number, { untilTimerMs }: { untilTimerMs: number }): void {
    this.#suspendedMs += ms - untilTimerMs;
    this.inner.advance(untilTimerMs);
  }
}

/** A stream without data until the test calls `arrive`. */
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
    stream: new LineStream({ chunks, close: () => read.resolve(null), abort: undefined }),
    arrive() {
      buffer.set(LINE);
      read.resolve(LINE.length);
    },
  };
}

Deno.test("nextLines() returns 'silent' after three missing heartbeats and a grace period", async () => {
  const clock = new FakeClock();
  const { stream } = silentStream();
  const lines = nextLines(stream, { heartbeatMs: HEARTBEAT_MS, clock });
  clock.advance(SILENCE_MS + GRACE_MS);
  assertEquals(await within(20_000, "the silence", lines), "silent");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("nextLines() returns lines that arrive in the grace period", async () => {
  const clock = new FakeClock();
  const { stream, arrive } = silentStream();
  const lines = nextLines(stream, { heartbeatMs: HEARTBEAT_MS, clock });
  clock.advance(SILENCE_MS);
  arrive();
  assertEquals(await within(20_000, "a line", lines), LINE);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("nextLines() starts over after the process was suspended", async () => {
  const clock = new SuspendableClock();
  const { stream } = silentStream();
  const lines = nextLines(stream, { heartbeatMs: HEARTBEAT_MS, clock });
  clock.suspendFor(600_000, { untilTimerMs: SILENCE_MS });
  clock.inner.advance(SILENCE_MS - 1);
  // Suspended again, in the grace period.
  clock.inner.advance(1);
  clock.suspendFor(600_000, { untilTimerMs: GRACE_MS });
  assertEquals(clock.inner.pendingTimers, 1);
  clock.inner.advance(SILENCE_MS + GRACE_MS - 1);
  assertEquals(clock.inner.pendingTimers, 1);
  clock.inner.advance(1);
  assertEquals(await within(20_000, "the silence", lines), "silent");
});
