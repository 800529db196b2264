/**
 * One session that exists. It owns its terminal and its timer, and it knows the attached client. Its identity is its
 * container: a later session of the same name is another object. Each change is reported in the same synchronous block, and
 * no method waits for a client.
 */
import { type Clock, runAt } from "../platform/clock.ts";
import { exitCodeOfSignal } from "../platform/signals.ts";
import type { RestoreMode, SessionDetach, SessionExit } from "../protocol/session_operations.ts";
import type { StoredSession } from "../storage/session_store.ts";
import type { SessionClient } from "./session_client.ts";
import type { SessionTerminal } from "./session_terminal.ts";

/** The payload of a session's event. The wire event on `events.socket` has only its `type`; other outputs have all fields. */
export interface SessionEvent {
  /** The session's name. */
  readonly session: string;
  /** When apex published it. */
  readonly timestamp: Date;
}

/** The names of session events, in the order in which they occur. */
export const SESSION_EVENT_NAMES = [
  /** Follows the container's `container:started`. */
  "session:created",
  "session:attached",
  /** The session continues without a client. Not published at the session's end. */
  "session:detached",
  /** Follows the container's `container:died`, `container:stopped` or `container:removed`. */
  "session:removed",
] as const;

export type SessionEventName = (typeof SESSION_EVENT_NAMES)[number];

/** What the session pool emits, by name. Inside a listener, the pool's `list()` already agrees with the event. */
export type SessionEvents = Record<SessionEventName, SessionEvent>;

/** A session as clients see it. */
export interface SessionRecord {
  readonly name: string;
  readonly status: "attached" | "detached";
  readonly image: string;
  readonly containerId: string;
  readonly createdAt: Date;
  readonly lastAttachedAt?: Date;
  /** The process id of the attached client, if the client sent it. */
  readonly attachedPid?: number;
  /** When the session is killed, if it has a time to live. */
  readonly expiresAt?: Date;
}

/** The part of a session's row that does not depend on its client and its terminal. */
export type SessionFacts = Omit<StoredSession, "state" | "isAttached" | "columns" | "rows" | "recentOutput">;

export interface SessionOptions {
  readonly facts: SessionFacts;
  readonly terminal: SessionTerminal;
  readonly clock: Clock;
  /** Called in the synchronous block in which a client was attached or detached. */
  readonly onChange: (session: Session, change: "session:attached" | "session:detached") => void;
  /** Called when the session's time to live is over. */
  readonly onExpired: (session: Session) => void;
}

export interface AttachOptions {
  readonly restore: RestoreMode;
  /** Detaches the client again immediately. */
  readonly background: boolean;
}

/** The exit code of a container that was removed by force. */
const KILLED = exitCodeOfSignal("SIGKILL");

export class Session {
  readonly name: string;
  readonly containerId: string;
  readonly terminal: SessionTerminal;
  readonly #options: SessionOptions;
  readonly #ended = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  #lastAttachedAtMs: number | undefined;
  #client: SessionClient | undefined;
  #exit: SessionExit | undefined;
  #cancelExpiry: (() => void) | undefined;
  /** Set while the session is being killed: the reason, and a promise that settles when the kill succeeds or fails. */
  kill: { readonly reason: "killed" | "ttl"; readonly done: Promise<void> } | undefined;

  constructor(options: SessionOptions) {
    const { facts, terminal, clock, onExpired } = options;
    this.#options = options;
    this.name = facts.name;
    this.containerId = facts.containerId;
    this.terminal = terminal;
    this.#lastAttachedAtMs = facts.lastAttachedAtMs;
    if (facts.expiresAtMs !== undefined) {
      this.#cancelExpiry = runAt(facts.expiresAtMs, { clock, callback: () => onExpired(this) });
    }
  }

  get client(): SessionClient | undefined {
    return this.#client;
  }

  get hasEnded(): boolean {
    return this.#exit !== undefined;
  }

  /** Resolves when the session has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves when the session has ended and its container was removed, or could not be removed. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Attaches a client, and detaches the one that is attached. */
  attach(client: SessionClient, { restore, background }: AttachOptions): void {
    const { clock, terminal, onChange } = this.#options;
    this.detach({ reason: "forced" });
    this.#client = client;
    this.#lastAttachedAtMs = clock.now();
    client.attachTo({
      onInput: (bytes) => terminal.write(bytes),
      onResize: (size) => terminal.resize(size),
      onLeave: (detach) => {
        if (this.#client === client) this.detach(detach);
      },
    });
    if (!background) terminal.show(client, restore);
    onChange(this, "session:attached");
    if (background && this.#client === client) this.detach({ reason: "requested" });
  }

  /**
   * Detaches the client, and sends it its last frame. Returns false if no client is attached. After the session's end the
   * client gets the exit, and no change is reported.
   */
  detach(detach: SessionDetach): boolean {
    const client = this.#client;
    if (client === undefined) return false;
    this.#client = undefined;
    this.terminal.hide();
    client.finish(this.#exit === undefined ? { detach } : { exit: this.#exit });
    if (this.#exit === undefined) this.#options.onChange(this, "session:detached");
    return true;
  }

  /** Marks the session as ended. Its client gets the exit from a later {@linkcode detach}, after all output. */
  end(exit: SessionExit): void {
    this.#exit = exit;
    this.cancelExpiry();
    this.#ended.resolve();
  }

  /** Corrects the exit: the container was removed before the client got it, so the removal killed what ran in it. */
  markRemoved(): void {
    if (this.#exit?.reason === "exit" && this.#exit.exitCode === KILLED) {
      this.#exit = { ...this.#exit, reason: "removed" };
    }
  }

  /** Resolves {@linkcode finished}. */
  markFinished(): void {
    this.#finished.resolve();
  }

  /** Stops the timer of the time to live. */
  cancelExpiry(): void {
    this.#cancelExpiry?.();
    this.#cancelExpiry = undefined;
  }

  toRecord(): SessionRecord {
    const { facts: { name, image, containerId, createdAtMs, expiresAtMs } } = this.#options;
    const pid = this.#client?.pid;
    return {
      name,
      status: this.#client === undefined ? "detached" : "attached",
      image,
      containerId,
      createdAt: new Date(createdAtMs),
      ...(this.#lastAttachedAtMs !== undefined && { lastAttachedAt: new Date(this.#lastAttachedAtMs) }),
      ...(pid !== undefined && { attachedPid: pid }),
      ...(expiresAtMs !== undefined && { expiresAt: new Date(expiresAtMs) }),
    };
  }

  toRow(): StoredSession {
    return {
      ...this.#options.facts,
      state: this.#exit === undefined ? "living" : "ended",
      isAttached: this.#client !== undefined,
      ...this.terminal.size,
      recentOutput: this.terminal.recentOutput,
      ...(this.#lastAttachedAtMs !== undefined && { lastAttachedAtMs: this.#lastAttachedAtMs }),
    };
  }
}
