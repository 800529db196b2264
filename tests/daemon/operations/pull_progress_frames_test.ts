import { assert, assertEquals, assertRejects } from "@std/assert";
import { PullProgressFrames } from "../../../src/daemon/operations/pull_progress_frames.ts";
import { RecordingChannel } from "../../support/daemons/recording_channel.ts";
import { nextTurn } from "../../support/daemons/test_control_server.ts";
import { FakeClock } from "../../support/fake_clock.ts";

function step(layer: string, currentBytes: number) {
  return { image: "i", status: "Downloading", layer, currentBytes };
}

async function bytesByLayer(channel: RecordingChannel): Promise<string[]> {
  const frames = await channel.received() as ["progress", { layer: string; currentBytes: number }][];
  return frames.map(([, { layer, currentBytes }]) => `${layer} ${currentBytes}`);
}

Deno.test("PullProgressFrames sends the newest step of each layer, ten a second at most, and always the last", async () => {
  const clock = new FakeClock();
  const channel = new RecordingChannel();
  const frames = new PullProgressFrames(clock);
  frames.sendTo(channel);
  // One second of an engine that reports two layers every five milliseconds.
  for (let ms = 5; ms <= 1_000; ms += 5) {
    frames.add(step("a", ms));
    frames.add(step("b", ms));
    await nextTurn();
    clock.advance(5);
  }
  await frames.finish();
  const received = await bytesByLayer(channel);
  for (const layer of ["a", "b"]) {
    const ofLayer = received.filter((text) => text.startsWith(layer)).map((text) => Number(text.slice(2)));
    assert(ofLayer.length >= 10 && ofLayer.length <= 11, `${ofLayer.length} steps`);
    assertEquals(ofLayer, ofLayer.toSorted((x, y) => x - y));
    assertEquals(ofLayer.at(-1), 1_000);
  }
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("PullProgressFrames keeps the newest steps until it has a channel", async () => {
  const channel = new RecordingChannel();
  const frames = new PullProgressFrames(new FakeClock());
  frames.add(step("a", 1));
  frames.add(step("a", 2));
  frames.add(step("b", 3));
  frames.sendTo(channel);
  await frames.finish();
  assertEquals(await bytesByLayer(channel), ["a 2", "b 3"]);
});

Deno.test("PullProgressFrames keeps one step of each layer for a client that does not read", async () => {
  const clock = new FakeClock();
  const channel = new RecordingChannel();
  channel.stall();
  const frames = new PullProgressFrames(clock);
  frames.sendTo(channel);
  for (let i = 0; i < 200; i++) {
    frames.add(step("a", i));
    clock.advance(50);
    await nextTurn();
  }
  channel.go();
  await frames.finish();
  assertEquals(await bytesByLayer(channel), ["a 0", "a 199"]);
});

Deno.test("PullProgressFrames accepts 512 layers at most", async () => {
  const channel = new RecordingChannel();
  const frames = new PullProgressFrames(new FakeClock());
  for (let layer = 0; layer < 2_000; layer++) frames.add(step(`l${layer}`, 1));
  frames.sendTo(channel);
  await frames.finish();
  assertEquals((await channel.received()).length, 512);
});

Deno.test("PullProgressFrames stops when its client hangs up, and finish() rejects", async () => {
  const clock = new FakeClock();
  const channel = new RecordingChannel();
  channel.stall();
  const frames = new PullProgressFrames(clock);
  frames.sendTo(channel);
  frames.add(step("a", 1));
  frames.add(step("b", 2));
  channel.hangUp();
  await assertRejects(() => frames.finish(), Error, "hung up");
  frames.add(step("a", 3));
  assertEquals([await channel.received(), clock.pendingTimers], [[], 0]);
});
