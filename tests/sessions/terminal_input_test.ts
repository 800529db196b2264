import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import type { AttachConnection } from "../../src/engine/attach_connection.ts";
import { TerminalInput } from "../../src/sessions/terminal_input.ts";

/** A connection that accepts all input immediately. */
class RecordingConnection implements AttachConnection {
  written = "";

  write(bytes: Uint8Array): Promise<void> {
    this.written += new TextDecoder().decode(bytes);
    return Promise.resolve();
  }

  read(): Promise<number | null> {
    return Promise.resolve(null);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {}
}

Deno.test("write() writes a keystroke any number of microtasks after the one before", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const input = new TerminalInput();
    const connection = new RecordingConnection();
    input.connection = connection;
    await input.write(new TextEncoder().encode("a"));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await input.write(new TextEncoder().encode("b"));
    // The connection writes immediately, so one turn of the event loop is enough.
    await delay(0);
    assertEquals(connection.written, "ab", `${turns} turns later`);
  }
});
