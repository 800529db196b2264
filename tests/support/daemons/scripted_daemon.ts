import type { ControlOp, ControlRequest } from "../../../src/protocol/operations.ts";
import { encodeFrame, encodeJsonFrame, type FrameKind } from "../../../src/protocol/frames.ts";
import { decodeLine, encodeLine, MAX_REQUEST_BYTES, readLine } from "../../../src/protocol/jsonl.ts";
import { within } from "../within.ts";

/** Serves a connection whose request was read. The connection is closed afterwards. */
export type OpScript = (connection: ScriptedConnection, request: ControlRequest) => Promise<void>;

/** A control socket that serves each operation by its script. */
export class ScriptedDaemon implements AsyncDisposable {
  /** All requests, in order. */
  readonly requests: ControlRequest[] = [];
  readonly #listener: Deno.UnixListener;
  readonly #scripts: Partial<Record<ControlOp, OpScript>>;
  readonly #connections = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #isClosed = false;
  #waiting: { readonly isThere: () => boolean; readonly resolve: () => void }[] = [];

  constructor(path: string, scripts: Partial<Record<ControlOp, OpScript>>) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#scripts = scripts;
    this.#accepting = this.#accept();
  }

  /** Resolves with the last request of the operation when `times` of them have arrived. */
  async received<Op extends ControlOp>(op: Op, times = 1): Promise<Extract<ControlRequest, { op: Op }>> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ isThere: () => this.#count(op) >= times, resolve });
    this.#tellWaiting();
    await within(WAIT_LIMIT_MS, `${times} requests for ${op}`, promise);
    return this.requests.findLast((request) => request.op === op) as Extract<ControlRequest, { op: Op }>;
  }

  /** Stops accepting connections. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#listener.close();
    }
    await this.#accepting;
  }

  /** Rejects with the error of a script. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await within(WAIT_LIMIT_MS, "the end of the scripts", Promise.all(this.#connections));
  }

  async #accept(): Promise<void> {
    while (true) {
      try {
        const conn = await this.#listener.accept();
        const served = this.#serve(conn);
        // Disposal reports a failure.
        served.catch(() => {});
        this.#connections.add(served);
      } catch (error) {
        if (this.#isClosed) return;
        throw error;
      }
    }
  }

  async #serve(conn: Deno.UnixConn): Promise<void> {
    using _ = conn;
    const framed = await readLine(conn, { maxBytes: MAX_REQUEST_BYTES });
    if (framed === null) return;
    const request = decodeLine(framed.line) as ControlRequest;
    this.requests.push(request);
    this.#tellWaiting();
    const script = this.#scripts[request.op];
    if (script === undefined) throw new Error(`no script for ${request.op}`);
    await script(new ScriptedConnection(conn), request);
  }

  #count(op: ControlOp): number {
    return this.requests.filter((request) => request.op === op).length;
  }

  #tellWaiting(): void {
    const served = this.#waiting.filter(({ isThere }) => isThere());
    this.#waiting = this.#waiting.filter((wait) => !served.includes(wait));
    for (const { resolve } of served) resolve();
  }
}

const WAIT_LIMIT_MS = 20_000;

/** A connection from the point of view of a script. */
export class ScriptedConnection {
  readonly conn: Deno.UnixConn;

  constructor(conn: Deno.UnixConn) {
    this.conn = conn;
  }

  /** Writes all bytes. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  async reply(result: unknown): Promise<void> {
    await this.send(encodeLine({ ok: true, result }));
  }

  async refuse(code: string, message: string): Promise<void> {
    await this.send(encodeLine({ ok: false, error: { code, message } }));
  }

  /** Sends a frame: a string as text, any other payload as JSON. */
  async frame(kind: FrameKind, payload: unknown): Promise<void> {
    const isText = typeof payload === "string";
    await this.send(
      isText ? encodeFrame(kind, new TextEncoder().encode(payload)) : encodeJsonFrame(kind, payload),
    );
  }

  /** Resolves when the client has hung up. */
  async hungUp(): Promise<void> {
    const buffer = new Uint8Array(64);
    while (await this.conn.read(buffer) !== null);
  }
}
