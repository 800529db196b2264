/** Pairs of connected Unix sockets, for tests of servers that write to clients. */
import { closeQuietly } from "../../src/platform/unix_socket.ts";

/** Both ends of one connection. */
export interface SocketPair {
  readonly server: Deno.UnixConn;
  readonly client: Deno.UnixConn;
}

/** Opens pairs. Disposal closes those that the test has not closed. */
export class SocketPairs implements AsyncDisposable {
  readonly #dir: string;
  readonly #listener: Deno.UnixListener;
  readonly #connections: Deno.UnixConn[] = [];

  static async open(): Promise<SocketPairs> {
    const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
    return new SocketPairs(dir);
  }

  private constructor(dir: string) {
    this.#dir = dir;
    this.#listener = Deno.listen({ transport: "unix", path: `${dir}/s` });
  }

  async pair(): Promise<SocketPair> {
    const accepted = this.#listener.accept();
    const client = await Deno.connect({ transport: "unix", path: `${this.#dir}/s` });
    const server = await accepted;
    this.#connections.push(server, client);
    return { server, client };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) closeQuietly(connection);
    closeQuietly(this.#listener);
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** Reads until the text ends with `ending`, or to the end of the stream. */
export async function readText(connection: Deno.Conn, ending?: string): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  while (ending === undefined || !text.endsWith(ending)) {
    const count = await connection.read(buffer);
    if (count === null) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text;
}
