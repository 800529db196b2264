/** Handles one connection, which is closed afterwards. */
export type Script = (conn: Deno.UnixConn) => Promise<void>;

/** A server on a Unix socket that runs a script with each connection, one after another. */
export class ScriptedServer implements AsyncDisposable {
  readonly path: string;
  readonly #listener: Deno.UnixListener;
  readonly #serving: Promise<void>;
  #closed = false;

  constructor(path: string, script: Script) {
    this.path = path;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve(script);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#listener.close();
    }
    await this.#serving;
  }

  async #serve(script: Script): Promise<void> {
    while (true) {
      let conn: Deno.UnixConn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (this.#closed) return;
        throw error;
      }
      using _ = conn;
      await script(conn);
    }
  }
}

/** Writes a whole text. */
export async function send(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}
