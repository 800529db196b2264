import { assertEquals, assertRejects } from "@std/assert";
import { OutputRelay } from "../../../src/cli/output/output_relay.ts";
import { within } from "../../support/within.ts";

/** An output whose reader reads when the test calls `read`. */
class SlowOutput {
  readonly writes: string[] = [];
  #pending: PromiseWithResolvers<void> | undefined;

  async relay(bytes: Uint8Array): Promise<void> {
    this.#pending = Promise.withResolvers();
    await this.#pending.promise;
    this.writes.push(new TextDecoder().decode(bytes));
  }

  read(): void {
    this.#pending?.resolve();
  }

  fail(): void {
    this.#pending?.reject(new Error("closed"));
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("OutputRelay writes the first piece at once, and the pieces that arrive during the write together", async () => {
  const output = new SlowOutput();
  const relay = new OutputRelay(output);
  const piece = bytes("a");
  await relay.push(piece);
  piece.fill(0); // the relay has a copy
  await relay.push(bytes("b"));
  await relay.push(bytes("c"));
  const flushed = relay.flush();
  output.read();
  await Promise.resolve();
  while (output.writes.length < 1) await Promise.resolve();
  while (output.writes.length < 2) {
    output.read();
    await Promise.resolve();
  }
  await within(5_000, "the flush", flushed);
  assertEquals(output.writes, ["a", "bc"]);
});

Deno.test("OutputRelay.push() waits when both buffers are full", async () => {
  const output = new SlowOutput();
  const relay = new OutputRelay(output);
  await relay.push(new Uint8Array(64 * 1024));
  await relay.push(new Uint8Array(64 * 1024));
  let isPushed = false;
  const third = relay.push(bytes("x")).then(() => isPushed = true);
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  assertEquals(isPushed, false);
  output.read();
  await within(5_000, "the third piece", third);
});

Deno.test("OutputRelay passes everything on in order, for pieces of any size", async () => {
  let text = "";
  const relay = new OutputRelay({
    relay: async (part) => {
      await Promise.resolve();
      text += new TextDecoder().decode(part);
    },
  });
  let expected = "";
  for (let n = 0; n < 300; n++) {
    const piece = String.fromCharCode(97 + n % 26).repeat(n * 37 % 200_000);
    expected += piece;
    await relay.push(bytes(piece));
  }
  await relay.push(bytes("z".repeat(300_000)));
  await relay.flush();
  assertEquals(text, expected + "z".repeat(300_000));
});

Deno.test("OutputRelay reports a failed write from every method", async () => {
  const output = new SlowOutput();
  const relay = new OutputRelay(output);
  await relay.push(bytes("a"));
  const flushed = assertRejects(() => relay.flush(), Error, "closed");
  output.fail();
  await assertRejects(() => within(5_000, "the failure", relay.failed), Error, "closed");
  await flushed;
  await assertRejects(() => relay.push(bytes("b")), Error, "closed");
  await assertRejects(() => relay.flush(), Error, "closed");
});

Deno.test("OutputRelay.flush() returns at once when its buffer is empty", async () => {
  await new OutputRelay(new SlowOutput()).flush();
});
