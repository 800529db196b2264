/**
 * One session that exists: who is attached to it, and when it ends. Its identity is its container: another session of the
 * same name is another object. Each change is told in the synchronous block in which it is made; nothing here waits for a
 * client.
 */
import { type Clock, runAt } from "../platform/clock.ts";
import { exitCodeOfSignal } from "../platform/signals.ts";
import type { RestoreMode } from "../protocol/restore_mode.ts";
import type { SessionDetach, SessionExit } from "../protocol/session_messages.ts";
import type { StoredSession } from "../storage/session_store.ts";
import type { SessionClient } from "./session_client.ts";
import type { SessionTerminal } from "./session_terminal.ts";

/** What is known of a session beside who is attached. */
export type SessionFacts = Omit<StoredSession, "state" | "isAttached" | "columns" | "rows" | "recentOutput">;

export interface SessionOptions {
  readonly facts: SessionFacts;
  readonly terminal: SessionTerminal;
  readonly clock: Clock;
  /** A client came or went, just now. */
  readonly onChange: (session: Session, change: "session:attached" | "session:detached") => void;
  /** Its time to live is over. */
  readonly onExpired: (session: Session) => void;
}

export interface AttachOptions {
  readonly restore: RestoreMode;
  /** Lets go of the client at once. */
  readonly background: boolean;
}

/** What a removal by force makes of the command's status. */
const KILLED = exitCodeOfSignal("SIGKILL");

export class Session {
  readonly name: string;
  readonly containerId: string;
  readonly terminal: SessionTerminal;
  readonly #options: SessionOptions;
  readonly #ended = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #lastAttachedAtMs: number | undefined;
  #client: SessionClient | undefined;
  #end: SessionExit | undefined;
  #cancelExpiry: (() => void) | undefined;
  /** While it is being killed: why, and what settles when that is done or given up. */
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

  /** Once its end was told. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Resolves when its end was told. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves when its container is gone too, or could not be removed. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Takes the session for that client, from the one that has it, if any. */
  attach(client: SessionClient, { restore, background }: AttachOptions): void {
    const { clock, terminal, onChange } = this.#options;
    this.release({ reason: "forced" });
    this.#client = client;
    this.#lastAttachedAtMs = clock.now();
    client.attachTo({
      onInput: (bytes) => terminal.write(bytes),
      onResize: (size) => terminal.resize(size),
      onLeave: (detach) => {
        if (this.#client === client) this.release(detach);
      },
    });
    if (!background) terminal.show(client, restore);
    onChange(this, "session:attached");
    if (background && this.#client === client) this.release({ reason: "requested" });
  }

  /** Lets go of the client; false when there is none. After the session's end nothing is told of that any more. */
  release(detach: SessionDetach): boolean {
    const client = this.#client;
    if (client === undefined) return false;
    this.#client = undefined;
    this.terminal.hide();
    client.finish(this.#end === undefined ? { detach } : { exit: this.#end });
    if (this.#end === undefined) this.#options.onChange(this, "session:detached");
    return true;
  }

  /** It is no more. Its client is told when it is released, after all output. */
  end(exit: SessionExit): void {
    this.#end = exit;
    this.stopTimers();
    this.#ended.resolve();
  }

  /** Its container is gone before its client was told of the end: whoever removed it killed what ran in it. */
  wasRemoved(): void {
    if (this.#end?.reason === "exit" && this.#end.exitCode === KILLED) {
      this.#end = { ...this.#end, reason: "removed" };
    }
  }

  /** Nothing more will be done about its container. */
  leave(): void {
    this.#gone.resolve();
  }

  /** It goes on, but not in this process. */
  stopTimers(): void {
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
      state: this.#end === undefined ? "living" : "ended",
      isAttached: this.#client !== undefined,
      ...this.terminal.size,
      recentOutput: this.terminal.recentOutput,
      ...(this.#lastAttachedAtMs !== undefined && { lastAttachedAtMs: this.#lastAttachedAtMs }),
    };
  }
}

/** A session, as rich as the events that tell of it. */
export interface SessionRecord {
  readonly name: string;
  readonly status: "attached" | "detached";
  readonly image: string;
  readonly containerId: string;
  readonly createdAt: Date;
  readonly lastAttachedAt?: Date;
  /** Of the client that is attached, when it said so. */
  readonly attachedPid?: number;
  /** When its time to live ends. */
  readonly expiresAt?: Date;
}

/** What a session's event says. On `events.socket` it has its `type` alone, elsewhere these fields, too. */
export interface SessionEvent {
  /** Its name. */
  readonly session: string;
  /** apex's own time of it. */
  readonly timestamp: Date;
}

/** What {@linkcode SessionPool} tells, by name. Inside a listener `list()` already shows what the event says. */
export interface SessionEvents {
  /** Follows its container's `container:started`. */
  "session:created": SessionEvent;
  "session:attached": SessionEvent;
  /** Only when it lives on without a client. */
  "session:detached": SessionEvent;
  /** Follows its container's `container:died` or `container:stopped`. */
  "session:removed": SessionEvent;
}

export type SessionEventName = keyof SessionEvents;

/** Their names, in the order of a session's life. */
export const SESSION_EVENT_NAMES: readonly SessionEventName[] = [
  "session:created",
  "session:attached",
  "session:detached",
  "session:removed",
];
