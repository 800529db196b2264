import { formatCursor } from "../../protocol/cursor.ts";
import { encodeLine, enlarged } from "../../protocol/jsonl.ts";
import type { StreamRecord } from "../../protocol/stream_record.ts";
import type { SeqRange } from "../../storage/journal/event_journal.ts";
import type { StoredEvent } from "../../storage/journal/event_rows.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";

/** Sent at once; one line at least. */
const BATCH_BYTES = 64 * 1024;
const LF = 0x0a;
const encoder = new TextEncoder();

/** Sends events of the past as lines, many in one piece; at most one piece is in memory. */
export class HistoryLines {
  readonly #channel: Pick<ControlChannel, "send">;
  #batch: Uint8Array<ArrayBuffer> = new Uint8Array(BATCH_BYTES);
  #filled = 0;

  constructor(channel: Pick<ControlChannel, "send">) {
    this.#channel = channel;
  }

  /** @throws when the client is gone */
  async send({ seq, timeMs, line }: StoredEvent): Promise<void> {
    const head = encoder.encode(`{"seq":${seq},"publishedAt":"${new Date(timeMs).toISOString()}",`);
    // The opening brace goes, the newline comes.
    const length = head.length + line.length;
    if (this.#filled + length > this.#batch.length) await this.#flush();
    if (length > this.#batch.length) this.#batch = enlarged(this.#batch, length);
    this.#batch.set(head, this.#filled);
    this.#batch.set(line.subarray(1), this.#filled + head.length);
    this.#filled += length;
    this.#batch[this.#filled - 1] = LF;
  }

  /** Says that those are missing. @throws when the client is gone */
  async gap({ first, last }: SeqRange, epoch: string): Promise<void> {
    await this.#flush();
    const [from, to] = [first - 1, last].map((seq) => formatCursor({ epoch, seq })) as [string, string];
    await this.#channel.send(
      encodeLine({ type: "stream.gap", from, to, reason: "evicted" } satisfies StreamRecord),
    );
  }

  /** Says that this was all. @throws when the client is gone */
  async end(): Promise<void> {
    await this.#flush();
    await this.#channel.send(encodeLine({ type: "stream.bye", reason: "end" } satisfies StreamRecord));
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return;
    await this.#channel.send(this.#batch.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
