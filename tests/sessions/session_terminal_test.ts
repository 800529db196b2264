import { assertEquals, assertStringIncludes } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { SessionTerminal } from "../../src/sessions/session_terminal.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeContainers } from "../support/sessions/fake_containers.ts";
import { TestClient } from "../support/sessions/test_client.ts";
import { within } from "../support/within.ts";

const SIZE = { columns: 40, rows: 10 };

/** A running container, its terminal, and a clock that advances during waits. */
class Bed implements AsyncDisposable {
  readonly engine = new FakeContainers();
  readonly clock = new FakeClock();
  readonly terminal: SessionTerminal;

  private constructor(readonly id: string, { engine, recentOutput, connection }: {
    engine: FakeContainers;
    recentOutput?: Uint8Array;
    connection?: Awaited<ReturnType<FakeContainers["terminals"]["attach"]>>;
  }) {
    this.engine = engine;
    this.terminal = new SessionTerminal({
      containerId: id,
      size: SIZE,
      scrollbackLines: 100,
      terminals: engine.terminals,
      clock: this.clock,
      logger: silentLogger,
      onKeep: () => {},
      ...(recentOutput && { recentOutput }),
      ...(connection && { connection }),
    });
  }

  /**
   * @param options.isNew the terminal was attached before the container was started
   * @param options.recentOutput what an earlier daemon stored
   */
  static async make({ isNew, recentOutput }: { isNew: boolean; recentOutput?: string }): Promise<Bed> {
    const engine = new FakeContainers();
    const { id } = await engine.create({ image: "img", tty: true });
    const connection = isNew ? await engine.terminals.attach(id) : undefined;
    await engine.start(id);
    return new Bed(id, {
      engine,
      ...(recentOutput && { recentOutput: new TextEncoder().encode(recentOutput) }),
      ...(connection && { connection }),
    });
  }

  client(): TestClient {
    return new TestClient({ clock: this.clock, ...SIZE }).serve();
  }

  /** Waits until `isSo` returns true, and advances the clock in the meantime. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const waiting = async (): Promise<void> => {
      while (!isSo()) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        this.clock.advance(20);
      }
    };
    await within(5_000, what, waiting());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(5_000, "the terminal's end", this.terminal[Symbol.asyncDispose]());
    assertEquals(this.clock.pendingTimers, 0, "timers are pending");
  }
}

Deno.test("show() sends a client the earlier output and then the new output, each once and in order", async () => {
  await using bed = await Bed.make({ isNew: true });
  bed.terminal.run();
  bed.engine.print(bed.id, "one\r\n");
  await using client = bed.client();
  bed.terminal.show(client.client, { kind: "screen" });
  for (const word of ["two", "three"]) bed.engine.print(bed.id, `${word}\r\n`);
  await client.untilOutput("three");
  const words = client.output.match(/one|two|three/g);
  assertEquals(words, ["one", "two", "three"]);
  bed.terminal.hide();
  client.client.finish({ detach: { reason: "requested" } });
});

Deno.test("SessionTerminal rebuilds the screen of a running container from the log", async () => {
  await using bed = await Bed.make({ isNew: false });
  bed.engine.print(bed.id, "before\r\n");
  bed.terminal.run();
  await bed.until(() => bed.terminal.isOpen, "the stream");
  await using client = bed.client();
  bed.terminal.show(client.client, { kind: "screen" });
  bed.engine.print(bed.id, "after\r\n");
  await bed.until(() => client.output.includes("after"), "the output");
  assertEquals(client.output.match(/before|after/g), ["before", "after"]);
  bed.terminal.hide();
  client.client.finish({ detach: { reason: "requested" } });
});

Deno.test("SessionTerminal rebuilds an unfinished line, which the log lacks", async () => {
  await using bed = await Bed.make({ isNew: false, recentOutput: "before\r\n$ " });
  bed.engine.print(bed.id, "before\r\n$ ");
  bed.terminal.run();
  await bed.until(() => bed.terminal.isOpen, "the stream");
  await using client = bed.client();
  bed.terminal.show(client.client, { kind: "screen" });
  await bed.until(() => client.output.includes("$"), "the prompt");
  bed.engine.print(bed.id, "after");
  await bed.until(() => client.output.includes("after"), "the output");
  assertEquals(client.output.match(/before|[$]|after/g), ["before", "$", "after"]);
  assertEquals(new TextDecoder().decode(bed.terminal.recentOutput), "before\r\n$ after");
  bed.terminal.hide();
  client.client.finish({ detach: { reason: "requested" } });
});

Deno.test("SessionTerminal attaches again when the stream is lost, and repaints the client's screen", async () => {
  await using bed = await Bed.make({ isNew: true });
  await using client = bed.client();
  bed.terminal.show(client.client, { kind: "screen" });
  bed.terminal.run();
  bed.engine.print(bed.id, "one\r\n");
  await client.untilOutput("one");
  bed.engine.failures.set("attach", new Error("not now"));
  bed.engine.cutStreams(bed.id);
  await bed.until(() => !bed.terminal.isOpen, "the loss");
  bed.engine.print(bed.id, "missed\r\n");
  await bed.until(() => client.output.includes("missed"), "the repaint");
  bed.engine.print(bed.id, "three\r\n");
  await bed.until(() => client.output.includes("three"), "the output after it");
  assertEquals(client.output.match(/missed|three/g), ["missed", "three"]);
  await bed.terminal.write(new TextEncoder().encode("typed"));
  assertStringIncludes(bed.engine.typedInto(bed.id), "typed");
  bed.terminal.hide();
  client.client.finish({ detach: { reason: "requested" } });
});

Deno.test("ended() resolves when all output was passed on, even if the stream stays open", async () => {
  for (const isCut of [true, false]) {
    await using bed = await Bed.make({ isNew: true });
    await using client = bed.client();
    bed.terminal.show(client.client, { kind: "none" });
    bed.terminal.run();
    bed.engine.print(bed.id, "last words");
    if (isCut) bed.engine.cutStreams(bed.id);
    let hasEnded = false;
    const ended = bed.terminal.ended().then(() => hasEnded = true);
    await bed.until(() => hasEnded, "the end");
    await ended;
    client.client.finish({ exit: { reason: "exit" } });
    await client.untilLast();
    assertEquals(client.output, "last words");
    bed.terminal.hide();
  }
});
