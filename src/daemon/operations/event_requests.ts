/**
 * The operations `events.*`: resumable subscriptions to the event log, and the journal's events of the past.
 *
 * A subscription is owned by the event log, which writes it, ends it as `stalled` when its client takes nothing for 30 s, and
 * reports its end to `onClose`. `EventRequests` keeps the set of open subscriptions, to finish them when the daemon ends.
 */
import { resumeCursor, type SnapshotState } from "../../eventlog/resumable_feed.ts";
import {
  type CloseReason,
  finishAll,
  type SubscriberConnection,
  type Subscription,
} from "../../eventlog/subscription.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { type Cursor, formatCursor, type StreamRecord } from "../../protocol/event_operations.ts";
import { encodeLine, enlarged } from "../../protocol/jsonl.ts";
import type { ControlRequestOf } from "../../protocol/operations.ts";
import { EventFilter } from "../../storage/journal/event_filter.ts";
import type { SeqRange } from "../../storage/journal/event_journal.ts";
import type { StoredEvent } from "../../storage/journal/event_rows.ts";
import { history, isEvent } from "../../storage/journal/history.ts";
import type { StreamReply } from "../control_socket/answer.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";
import type { OperationContext } from "./operation_context.ts";

export type EventRequestsOptions = Pick<OperationContext, "log" | "journal" | "clock" | "logger">;

/** How long disposal waits for subscribers to take the last events. */
const DRAIN_LIMIT_MS = 2_000;

/** Disposing it sends each subscriber the remaining events and a `stream.bye`. */
export class EventRequests implements AsyncDisposable {
  readonly #options: EventRequestsOptions;
  readonly #subscriptions = new Set<Subscription>();
  #isEnding = false;

  constructor(options: EventRequestsOptions) {
    this.#options = options;
  }

  /**
   * Registers the subscriber at once: it receives every event that is published after the reply.
   *
   * @param snapshot the state at the moment of the call
   * @throws {ApexError} `failed` for events of the past without a journal; `busy` if the daemon is ending, so that the client
   * tries again
   */
  subscribe(request: ControlRequestOf<"events.subscribe">, snapshot?: SnapshotState): StreamReply<object> {
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
    return { result: {}, stream: (channel) => connection.serve(channel, () => subscription.close("gone")) };
  }

  /** @throws {ApexError} `usage` for a reversed range; `failed` without a journal, or if it cannot be read */
  history({ sinceMs, untilMs, limit, ...request }: ControlRequestOf<"events.history">): StreamReply<object> {
    const { journal } = this.#options;
    if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs) {
      throw new ApexError("usage", `sinceMs (${sinceMs}) is later than untilMs (${untilMs})`);
    }
    this.#requireJournal("there is no history");
    return {
      result: {},
      async stream(channel) {
        const lines = new HistoryLines(channel);
        const options = definedFields({ sinceMs, untilMs, limit, filter: filterOf(request) });
        for await (const past of history(journal, { ...options, abort: channel.abortSignal })) {
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
    if (journal.status.state === "off") {
      throw new ApexError(
        "failed",
        `${consequence}: this daemon keeps no journal (--no-journal, or journal = false in its configuration)`,
      );
    }
    if (journal.isInMemory) {
      throw new ApexError("failed", `${consequence}: the database cannot be used (see: apex status)`);
    }
  }
}

type FilterRequest = Pick<ControlRequestOf<"events.history">, "types" | "task" | "container">;

function filterOf({ types, task, container }: FilterRequest): EventFilter | undefined {
  if (types === undefined && task === undefined && container === undefined) return undefined;
  return new EventFilter(definedFields({ types, taskId: task, container }));
}

/**
 * The connection that a subscription of the event log writes to. The subscriber is registered before the reply line is sent, so
 * that it misses no event after the reply; its writes wait until {@linkcode LineConnection.serve} is called.
 */
export class LineConnection implements SubscriberConnection {
  readonly #channel = Promise.withResolvers<ControlChannel>();
  readonly #closed = Promise.withResolvers<CloseReason>();

  async write(bytes: Uint8Array): Promise<number> {
    const channel = await this.#channel.promise;
    return await channel.write(bytes);
  }

  /** Does nothing: the control server closes the connection when {@linkcode LineConnection.serve} settles. */
  close(): void {}

  /** For the subscription's `onClose`. */
  readonly closed = (reason: CloseReason): void => this.#closed.resolve(reason);

  /** Starts the writes, and resolves at the end of the subscription. @param onHangUp is called when the client hangs up */
  async serve(channel: ControlChannel, onHangUp: () => void): Promise<void> {
    this.#channel.resolve(channel);
    if (channel.abortSignal.aborted) onHangUp();
    else channel.abortSignal.addEventListener("abort", onHangUp);
    const reason = await this.#closed.promise;
    channel.abortSignal.removeEventListener("abort", onHangUp);
    // Interrupts a pending write that the client does not take.
    if (reason !== "finished") channel.end(new Error(`the subscription is over: ${reason}`));
  }
}

/** Lines are sent in pieces of this size; a longer line is a piece of its own. */
const BATCH_BYTES = 64 * 1024;
const LF = 0x0a;
const encoder = new TextEncoder();

/** Sends events of the past as lines, with one piece in memory. Its methods throw if the client has hung up. */
class HistoryLines {
  readonly #channel: Pick<ControlChannel, "send">;
  #batch: Uint8Array<ArrayBuffer> = new Uint8Array(BATCH_BYTES);
  #filled = 0;

  constructor(channel: Pick<ControlChannel, "send">) {
    this.#channel = channel;
  }

  async send({ seq, timeMs, line }: StoredEvent): Promise<void> {
    const head = encoder.encode(`{"seq":${seq},"publishedAt":"${new Date(timeMs).toISOString()}",`);
    // The head replaces the opening brace, and a newline is added.
    const length = head.length + line.length;
    if (this.#filled + length > this.#batch.length) await this.#flush();
    if (length > this.#batch.length) this.#batch = enlarged(this.#batch, length);
    this.#batch.set(head, this.#filled);
    this.#batch.set(line.subarray(1), this.#filled + head.length);
    this.#filled += length;
    this.#batch[this.#filled - 1] = LF;
  }

  async gap({ first, last }: SeqRange, epoch: string): Promise<void> {
    const [from, to] = [first - 1, last].map((seq) => formatCursor({ epoch, seq })) as [string, string];
    await this.#sendRecord({ type: "stream.gap", from, to, reason: "evicted" });
  }

  async end(): Promise<void> {
    await this.#sendRecord({ type: "stream.bye", reason: "end" });
  }

  async #sendRecord(record: StreamRecord): Promise<void> {
    await this.#flush();
    await this.#channel.send(encodeLine(record));
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return;
    await this.#channel.send(this.#batch.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
