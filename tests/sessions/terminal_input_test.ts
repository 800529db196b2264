import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import type { AttachConnection } from "../../src/engine/attach_connection.ts";
import { TerminalInput } from "../../src/sessions/terminal_input.ts";

/** Takes everything at once. */
class TakingConnection implements AttachConnection {
  taken = "";

  write(bytes: Uint8Array): Promise<void> {
    this.taken += new TextDecoder().decode(bytes);
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

Deno.test("TerminalInput writes a key at whatever moment after the one before it is pressed", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const input = new TerminalInput();
    const connection = new TakingConnection();
    input.connection = connection;
    await input.write(new TextEncoder().encode("a"));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await input.write(new TextEncoder().encode("b"));
    // Nothing takes time here, so after a turn of the event loop all is done.
    await delay(0);
    assertEquals(connection.taken, "ab", `${turns} turns later`);
  }
});
