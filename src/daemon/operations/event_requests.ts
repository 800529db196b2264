/** The operations `events.*`: extended subscriptions, which are the event log's, and what the journal has of the past. */
import type { EventLog } from "../../eventlog/event_log.ts";
import { resumeCursor, type SnapshotState } from "../../eventlog/resumable_feed.ts";
import {
  type CloseReason,
  finishAll,
  type SubscriberConnection,
  type Subscription,
} from "../../eventlog/subscription.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ControlRequestOf } from "../../protocol/control.ts";
import { type Cursor, formatCursor, type StreamRecord } from "../../protocol/event_messages.ts";
import { encodeLine, enlarged } from "../../protocol/jsonl.ts";
import { EventFilter } from "../../storage/journal/event_filter.ts";
import type { EventJournal, SeqRange } from "../../storage/journal/event_journal.ts";
import type { StoredEvent } from "../../storage/journal/event_rows.ts";
import { history, isEvent } from "../../storage/journal/history.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";
import type { StreamReply } from "../control_socket/control_server.ts";

export interface EventRequestsOptions {
  readonly log: EventLog;
  readonly journal: EventJournal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long disposal lets subscribers take what is theirs. */
const DRAIN_LIMIT_MS = 2_000;

/** Disposing lets each subscriber have what was told, and says farewell to it. */
export class EventRequests implements AsyncDisposable {
  readonly #options: EventRequestsOptions;
  readonly #subscriptions = new Set<Subscription>();
  #isEnding = false;

  constructor(options: EventRequestsOptions) {
    this.#options = options;
  }

  /**
   * Registers at once: what is told after the reply comes.
   *
   * @param snapshot as it is in this very block
   * @throws {ApexError} `failed` when it asks for the past of a log that has no journal; `busy`, for that passes, when the
   * daemon is ending.
   */
  subscribe(request: ControlRequestOf<"events.subscribe">, snapshot?: SnapshotState): StreamReply {
    if (this.#isEnding) throw new ApexError("busy", "the daemon is ending");
    const { log, logger } = this.#options;
    const { heartbeatMs, limit } = request;
    const after = this.#start(request);
    const connection = new LineConnection();
    const subscription = log.subscribeResumable({
      connection,
      ...definedFields({ after, snapshot, heartbeatMs, limit, filter: filterOf(request) }),
      onClose: (reason: CloseReason) => {
        this.#subscriptions.delete(subscription);
        connection.closed(reason);
        if (reason === "stalled") logger.warn("disconnected a subscriber that took nothing for 30 s");
      },
    });
    this.#subscriptions.add(subscription);
    return {
      ok: true,
      result: {},
      stream: (channel) => connection.serve(channel, () => subscription.close("gone")),
    };
  }

  /** @throws {ApexError} `usage` for a reversed range; `failed` when nothing is journaled, or the journal cannot be read */
  history({ sinceMs, untilMs, limit, ...request }: ControlRequestOf<"events.history">): StreamReply {
    const { journal } = this.#options;
    if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs) {
      throw new ApexError("usage", `sinceMs (${sinceMs}) is later than untilMs (${untilMs})`);
    }
    this.#requireJournal("there is no history");
    return {
      ok: true,
      result: {},
      async stream(channel) {
        const { signal } = channel;
        const lines = new HistoryLines(channel);
        const options = definedFields({ sinceMs, untilMs, limit, filter: filterOf(request) });
        for await (const past of history(journal, { ...options, abort: signal })) {
          await (isEvent(past) ? lines.send(past) : lines.gap(past, journal.epoch));
        }
        await lines.end();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await finishAll(this.#subscriptions, { clock: this.#options.clock, limitMs: DRAIN_LIMIT_MS });
  }

  #start({ after, sinceMs }: ControlRequestOf<"events.subscribe">): Cursor | undefined {
    if (after !== undefined) return resumeCursor(after);
    if (sinceMs === undefined) return undefined;
    this.#requireJournal("it is not known which events are since then");
    const { journal } = this.#options;
    return { epoch: journal.epoch, seq: journal.seqBefore(sinceMs) };
  }

  #requireJournal(consequence: string): void {
    const { journal } = this.#options;
    if (journal.status.state !== "off" && journal.isInMemory) {
      throw new ApexError("failed", `${consequence}: the database cannot be used (see: apex status)`);
    }
    if (journal.status.state !== "off") return;
    throw new ApexError(
      "failed",
      `${consequence}: this daemon keeps no journal (--no-journal, or journal = false in its configuration)`,
    );
  }
}

interface FilterRequest {
  readonly types?: readonly string[] | undefined;
  readonly task?: string | undefined;
  readonly container?: string | undefined;
}

function filterOf({ types, task, container }: FilterRequest): EventFilter | undefined {
  if (types === undefined && task === undefined && container === undefined) return undefined;
  return new EventFilter(definedFields({ types, taskId: task, container }));
}

/**
 * What a subscription of the event log writes through on the control socket. It is subscribed before the reply line is sent,
 * so that it misses nothing that follows on the reply; what it writes waits until {@linkcode LineConnection.serve}.
 */
export class LineConnection implements SubscriberConnection {
  readonly #channel = Promise.withResolvers<ControlChannel>();
  readonly #closed = Promise.withResolvers<CloseReason>();

  async write(bytes: Uint8Array): Promise<number> {
    const channel = await this.#channel.promise;
    return await channel.write(bytes);
  }

  /** The server closes the connection itself, when {@linkcode LineConnection.serve} is over. */
  close(): void {}

  /** For the subscription's `onClose`. */
  readonly closed = (reason: CloseReason): void => this.#closed.resolve(reason);

  /** Lets it write; resolves when the subscription is over. @param hungUp is called once the client is gone */
  async serve(channel: ControlChannel, hungUp: () => void): Promise<void> {
    this.#channel.resolve(channel);
    if (channel.signal.aborted) hungUp();
    else channel.signal.addEventListener("abort", hungUp);
    const reason = await this.#closed.promise;
    channel.signal.removeEventListener("abort", hungUp);
    // A write may be in flight that the client does not take.
    if (reason !== "finished") channel.end(new Error(`the subscription is over: ${reason}`));
  }
}

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
