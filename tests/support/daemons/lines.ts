import { assert } from "@std/assert";
import type { ControlParamsOf } from "../../../src/client/control_exchange.ts";
import { type LineStream, openLines } from "../../../src/client/line_stream.ts";
import type { LineOp } from "../../../src/protocol/operations.ts";
import { within } from "../within.ts";
import type { TestDaemon } from "./test_daemon.ts";

// deno-lint-ignore no-explicit-any -- tests look into lines of every type
export type Line = Record<string, any>;

const LIMIT_MS = 20_000;

/** The lines of one stream, decoded. */
export class Lines implements Disposable {
  readonly #stream: LineStream;
  #waiting: Line[] = [];

  private constructor(stream: LineStream) {
    this.#stream = stream;
  }

  static async open<Op extends LineOp>(
    { paths }: Pick<TestDaemon, "paths">,
    op: Op,
    params: ControlParamsOf<Op>,
  ): Promise<Lines> {
    return await Lines.openAt(paths.controlSocket, op, params);
  }

  /** Opens a stream of a daemon, which may be another process. */
  static async openAt<Op extends LineOp>(
    controlSocket: string,
    op: Op,
    params: ControlParamsOf<Op>,
  ): Promise<Lines> {
    return new Lines(await openLines(controlSocket, op, params, { timeoutMs: LIMIT_MS }));
  }

  /** The next line; undefined at the end. */
  async next(): Promise<Line | undefined> {
    if (this.#waiting.length === 0) {
      const piece = await within(LIMIT_MS, "a line", this.#stream.next());
      if (piece === null) return undefined;
      this.#waiting = new TextDecoder().decode(piece).trimEnd().split("\n").map((line) => JSON.parse(line));
    }
    return this.#waiting.shift();
  }

  async all(): Promise<Line[]> {
    const lines: Line[] = [];
    for (let line = await this.next(); line !== undefined; line = await this.next()) lines.push(line);
    return lines;
  }

  async untilType(type: string): Promise<Line> {
    while (true) {
      const line = await this.next();
      assert(line !== undefined, `the stream ended without ${type}`);
      if (line.type === type) return line;
    }
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }
}
