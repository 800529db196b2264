import { assertEquals } from "@std/assert";
import { ClientOutput } from "../../../src/embedded_engine/http/raw_stream.ts";
import { within } from "../../support/within.ts";

/** A connection that completes each write on demand. */
class StalledWire {
  readonly taken: number[] = [];
  #gate = Promise.withResolvers<void>();

  readonly write = async (bytes: Uint8Array): Promise<void> => {
    await this.#gate.promise;
    this.taken.push(bytes.length);
  };

  open(): void {
    this.#gate.resolve();
  }

  fail(): void {
    this.#gate.reject(new Deno.errors.BrokenPipe("gone"));
  }
}

const KIB = 1024;

Deno.test("ClientOutput writes in order, one piece after another, and flushed() resolves when all is written", async () => {
  const wire = new StalledWire();
  const output = new ClientOutput({ write: wire.write });
  for (const length of [1, 0, 2, 3]) output.push(new Uint8Array(length));
  const flushed = output.flushed();
  wire.open();
  await within(1_000, "the flush", flushed);
  assertEquals(wire.taken, [1, 2, 3]);
  assertEquals(output.isLost, false);
});

Deno.test("ClientOutput has room until the size of two pipes is queued, and again when it is written", async () => {
  const wire = new StalledWire();
  const output = new ClientOutput({ write: wire.write });
  output.push(new Uint8Array(128 * KIB));
  assertEquals(output.hasRoom, true);
  output.push(new Uint8Array(1));
  assertEquals(output.hasRoom, false);
  const room = output.room();
  wire.open();
  await within(1_000, "room", room);
  assertEquals(output.hasRoom, true);
});

Deno.test("ClientOutput loses a client whose queue is full, and never blocks after that", async () => {
  const wire = new StalledWire();
  const output = new ClientOutput({ write: wire.write, maxBytes: 10 });
  output.push(new Uint8Array(10));
  assertEquals(output.isLost, false);
  output.push(new Uint8Array(1));
  assertEquals(output.isLost, true);
  await within(1_000, "the loss", Promise.all([output.lost, output.flushed(), output.room()]));
  output.push(new Uint8Array(1));
  wire.open();
  await output.flushed();
  assertEquals(wire.taken.length <= 1, true);
});

Deno.test("ClientOutput loses a client whose connection fails", async () => {
  const wire = new StalledWire();
  const output = new ClientOutput({ write: wire.write });
  output.push(new Uint8Array(1));
  output.push(new Uint8Array(1));
  wire.fail();
  await within(1_000, "the loss", output.lost);
  assertEquals([output.isLost, wire.taken], [true, []]);
});
