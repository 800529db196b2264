/**
 * The terminal of one session's container. It owns the engine's attach stream and reads it to its end without regard to
 * clients, but for a short wait when the attached one falls behind: a stream that nobody reads stops the container, and
 * with some engines its `kill`. What comes goes to the attached client first, then into the picture of the screen.
 *
 * While a picture is made for a client, or rebuilt from the engine's log (after a loss of the stream, and in a later life
 * of the daemon), what comes is held, so that it follows the picture.
 */
import type { AttachConnection } from "../engine/attach_connection.ts";
import { messageOf } from "../platform/apex_error.ts";
import { Backoff } from "../platform/async/backoff.ts";
import { delayUnlessAborted, settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { RestoreMode } from "../protocol/restore_mode.ts";
import type { ContainerTerminals } from "./container_terminals.ts";
import { HeldOutput } from "./held_output.ts";
import { RecentOutput, tailBefore } from "./screen/earlier_output.ts";
import { SessionScreen } from "./screen/session_screen.ts";
import { type TerminalSize, terminalSize } from "./screen/terminal_size.ts";
import type { SessionClient } from "./session_client.ts";
import { TerminalInput, TerminalResizer } from "./terminal_input.ts";

/** What a terminal of a session needs from the engine. */
export type TerminalAccess = Pick<ContainerTerminals, "attachRunning" | "tail" | "resize">;

export interface SessionTerminalOptions {
  readonly containerId: string;
  /** Opened before the container was started; absent for one that runs already. */
  readonly connection?: AttachConnection;
  readonly size: TerminalSize;
  /** The last that it said in an earlier life, as far as that is known. */
  readonly recentOutput?: Uint8Array;
  /** What {@linkcode SessionTerminal.recentOutput} gives is to be stored. */
  readonly onKeep: () => void;
  readonly scrollbackLines: number;
  readonly terminals: TerminalAccess;
  readonly clock: Clock;
  readonly logger: Logger;
}

const READ_BYTES = 64 * 1024;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** After a container's end the engine passes on the rest of its output without such a pause. */
const SILENT_AT_END_MS = 500;

export class SessionTerminal implements AsyncDisposable {
  readonly #options: SessionTerminalOptions;
  readonly #screen: SessionScreen;
  readonly #recent: RecentOutput;
  readonly #input = new TerminalInput();
  readonly #resizer: TerminalResizer;
  readonly #held: HeldOutput;
  readonly #stopping = new AbortController();
  #size: TerminalSize;
  #connection: AttachConnection | undefined;
  #client: SessionClient | undefined;
  /** What that client is to see of the past. */
  #mode: RestoreMode = { kind: "none" };
  #isPainted = false;
  /** It will say nothing more once its stream ends. */
  #hasEnded = false;
  /** Nobody is waited for any more: the container is to end. */
  #isHurried = false;
  #hasSkipped = false;
  /** How often the engine had something to say; and whether it is waited for just now. */
  #reads = 0;
  #isReading = false;
  #running: Promise<void> | undefined;
  #restoring: Promise<void> = Promise.resolve();

  constructor(options: SessionTerminalOptions) {
    this.#options = options;
    const { scrollbackLines, recentOutput: bytes, clock, onKeep, logger } = options;
    const size = this.#size = terminalSize(options.size);
    this.#screen = new SessionScreen({ size, scrollbackLines, logger });
    this.#recent = new RecentOutput({ clock, onKeep, ...(bytes !== undefined && { bytes }) });
    this.#resizer = new TerminalResizer({ ...options, signal: this.#stopping.signal });
    this.#held = new HeldOutput((output) => this.#pass(output));
  }

  /** The engine's stream is open. When it is not, the container may have ended. */
  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  /** Begins to read. What a client is to see from the start on, it must be shown first. */
  run(): void {
    const { connection } = this.#options;
    // A new terminal has no size yet, whoever is attached.
    if (connection !== undefined) this.#resizer.resize(this.#size);
    this.#running ??= this.#run(connection);
  }

  /** Everything goes to that client from now on, after a picture of the screen (of a terminal that runs). */
  show(client: SessionClient, mode: RestoreMode): void {
    this.#client = client;
    this.#mode = mode;
    this.#isPainted = false;
    this.#hasSkipped = false;
    this.resize(client.size);
    // Without a stream there is no picture either: one is made when the stream is there, but for a new terminal.
    if (this.isOpen) this.#whileHolding(() => this.#paint());
  }

  get size(): TerminalSize {
    return this.#size;
  }

  /** The last that it said: what an engine has not logged yet is part of it. */
  get recentOutput(): Uint8Array {
    return this.#recent.bytes;
  }

  /** Nobody sees it any more. */
  hide(): void {
    this.#client = undefined;
  }

  /** What a client types. Resolves when there is room for more; never rejects. */
  write(typed: Uint8Array): Promise<void> {
    return this.#input.write(typed);
  }

  resize(size: TerminalSize): void {
    this.#size = terminalSize(size);
    this.#screen.resize(this.#size);
    this.#resizer.resize(this.#size);
  }

  /** The container is about to be ended: as long as that is so, it waits for no client, which may miss some of a flood. */
  hurry(isHurried: boolean): void {
    this.#isHurried = isHurried;
    if (isHurried || !this.#hasSkipped) return;
    // It lives on, and its client has a hole in its picture.
    this.#hasSkipped = false;
    this.#isPainted = false;
    this.#whileHolding(() => this.#paint());
  }

  /**
   * The container has ended; resolves when all that it said has been passed on: at the stream's end, or when that does
   * not come (Docker 20.10 now and then leaves a stream open whose container was killed) and the engine is silent.
   */
  async ended(): Promise<void> {
    this.#hasEnded = true;
    if (this.#connection === undefined) this.#stopping.abort();
    const { clock } = this.#options;
    const running = this.#running ?? Promise.resolve();
    for (let before = -1; before !== this.#reads || !this.#isReading;) {
      before = this.#reads;
      if (await settlesWithin(running, { timeoutMs: SILENT_AT_END_MS, clock })) break;
    }
    await this.#restoring;
  }

  /** Ends the stream; the container goes on. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#client = undefined;
    this.#stopping.abort();
    this.#connection?.[Symbol.dispose]();
    this.#input.discard();
    await this.#running;
    await this.#restoring;
    await this.#resizer.settled;
    this.#screen[Symbol.dispose]();
    this.#recent[Symbol.dispose]();
  }

  async #run(first: AttachConnection | undefined): Promise<void> {
    const { containerId, terminals, clock, logger } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff({
      firstMs: FIRST_RETRY_MS,
      maxMs: MAX_RETRY_MS,
    });
    let connection = first;
    while (!signal.aborted) {
      try {
        connection ??= await terminals.attachRunning(containerId, signal);
        if (signal.aborted) break;
        if (connection !== first) this.#rebuild();
        if (await this.#relay(connection)) backoff.reset();
      } catch (error) {
        if (signal.aborted) break;
        logger.debug(`lost the terminal of container ${containerId}: ${messageOf(error)}`);
      } finally {
        connection?.[Symbol.dispose]();
      }
      connection = undefined;
      if (this.#hasEnded) break;
      // Rejects when it is not to go on.
      await delayUnlessAborted(backoff.next(), { clock, abort: signal });
    }
    connection?.[Symbol.dispose]();
  }

  /** To the stream's end; whether anything came. */
  async #relay(connection: AttachConnection): Promise<boolean> {
    this.#connection = connection;
    this.#input.connection = connection;
    const buffer = new Uint8Array(READ_BYTES);
    let hasRead = false;
    try {
      while (true) {
        this.#isReading = true;
        const count = await connection.read(buffer);
        this.#isReading = false;
        if (count === null) break;
        hasRead = true;
        this.#reads++;
        this.#held.take(buffer.subarray(0, count));
        if (this.#client?.isFull && !this.#isHurried) await this.#client.room();
        else if (this.#held.isFull) await this.#restoring;
      }
    } finally {
      this.#connection = undefined;
      this.#input.connection = undefined;
    }
    return hasRead;
  }

  #pass(output: Uint8Array): void {
    // Sent on top of what it has not taken yet, it would only have the client dropped as slow, before it hears of the end.
    if (this.#isHurried && this.#client?.isFull) this.#hasSkipped = true;
    else this.#client?.send(output);
    this.#screen.write(output);
    this.#recent.push(output);
  }

  /** The stream begins anew: what it does not say is in the engine's log. */
  #rebuild(): void {
    this.#held.clear();
    this.#isPainted = false;
    const { containerId, terminals, clock, logger } = this.#options;
    const { signal } = this.#stopping;
    this.#whileHolding(async () => {
      let before: Uint8Array | undefined;
      try {
        const said = () => this.#held.bytes();
        const recent = this.#recent.bytes;
        before = await tailBefore(said, { containerId, terminals, recent, clock, signal });
      } catch (error) {
        if (signal.aborted) return;
        logger.warn(`cannot restore the screen of container ${containerId}: ${messageOf(error)}`);
      }
      this.#screen.restart(before);
      this.#recent.restart(before);
      await this.#paint();
      // An engine may log whole lines only, and a full-screen program draws without any.
      this.#resizer.redraw(this.#size);
    });
  }

  /** Once for each client, and again when the screen was rebuilt. */
  async #paint(): Promise<void> {
    const client = this.#client;
    if (client === undefined || this.#isPainted) return;
    this.#isPainted = true;
    if (this.#mode.kind === "none") return;
    const picture = await this.#screen.repaint(this.#mode);
    // Another client may have it by now.
    if (this.#client === client) client.send(picture);
  }

  /** One piece of work after the other; what the container says meanwhile follows them. */
  #whileHolding(work: () => Promise<void>): void {
    this.#held.hold();
    this.#restoring = this.#restoring.then(work).catch((error: unknown) => {
      if (this.#stopping.signal.aborted) return;
      this.#options.logger.error(`cannot show a session's screen: ${messageOf(error)}`);
    }).finally(() => this.#held.release());
  }
}
