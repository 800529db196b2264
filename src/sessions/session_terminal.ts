/**
 * The terminal of one session's container. It owns the engine's attach stream, and reads it to its end whether or not a
 * client is attached: a stream that is not read blocks the container, and with some engines its kill. Only when the attached
 * client falls behind does reading pause, for a short time. Output goes to the client first, and then to the screen.
 *
 * While a repaint is made for a client, or the screen is rebuilt from the engine's log (after the stream was lost, or the
 * daemon restarted), output is held, so that the client gets it after the repaint.
 */
import type { AttachConnection } from "../engine/attach_connection.ts";
import { messageOf } from "../platform/apex_error.ts";
import { Backoff } from "../platform/async/backoff.ts";
import { delayUnlessAborted, settlesWithin } from "../platform/async/wait.ts";
import type { RestoreMode } from "../protocol/session_operations.ts";
import { HeldOutput } from "./held_output.ts";
import { RecentOutput, tailBefore } from "./screen/earlier_output.ts";
import { TerminalScreen } from "./screen/terminal_screen.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";
import type { SessionClient } from "./session_client.ts";
import type { SessionServices } from "./session_services.ts";
import { TerminalInput, TerminalResizer } from "./terminal_input.ts";

export interface SessionTerminalOptions extends Pick<SessionServices, "terminals" | "clock" | "logger"> {
  readonly containerId: string;
  /** A stream that was opened before the container was started; absent if the container runs already. */
  readonly connection?: AttachConnection;
  readonly size: TerminalSize;
  /** The last output that an earlier daemon stored. */
  readonly recentOutput?: Uint8Array;
  /** Stores {@linkcode SessionTerminal.recentOutput}. */
  readonly onKeep: () => void;
  readonly scrollbackLines: number;
}

const READ_BYTES = 64 * 1024;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** After a container's end the engine delivers the rest of its output without a pause of this length. */
const SILENT_AT_END_MS = 500;

export class SessionTerminal implements AsyncDisposable {
  readonly #options: SessionTerminalOptions;
  readonly #screen: TerminalScreen;
  readonly #recent: RecentOutput;
  readonly #input = new TerminalInput();
  readonly #resizer: TerminalResizer;
  readonly #held: HeldOutput;
  readonly #stopping = new AbortController();
  #connection: AttachConnection | undefined;
  #client: SessionClient | undefined;
  /** What the client sees of earlier output. */
  #mode: RestoreMode = { kind: "none" };
  /** The client has got its repaint. */
  #isPainted = false;
  /** The container has ended, so the stream is not opened again. */
  #hasEnded = false;
  /** The container is being killed, so reading does not pause for a slow client. */
  #isHurried = false;
  /** The client missed output because reading did not pause for it. */
  #hasSkipped = false;
  /** How many reads have returned output, and whether one is pending. */
  #reads = 0;
  #isReading = false;
  #running: Promise<void> | undefined;
  #restoring: Promise<void> = Promise.resolve();

  constructor(options: SessionTerminalOptions) {
    this.#options = options;
    const { size, scrollbackLines, recentOutput: bytes, clock, onKeep, logger } = options;
    this.#screen = new TerminalScreen({ ...size, scrollbackLines, logger });
    this.#recent = new RecentOutput({ clock, onKeep, ...(bytes !== undefined && { bytes }) });
    this.#resizer = new TerminalResizer({ ...options, abort: this.#stopping.signal });
    this.#held = new HeldOutput((output) => this.#pass(output));
  }

  /** Whether the engine's stream is open. If it is not, the container may have ended. */
  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  get size(): TerminalSize {
    return this.#screen.size;
  }

  /** The last output. It includes what the engine has not logged yet. */
  get recentOutput(): Uint8Array {
    return this.#recent.bytes;
  }

  /** Starts reading. A client that must see the very first output has to be shown it before, by {@linkcode show}. */
  run(): void {
    const { connection } = this.#options;
    // A new terminal has no size yet.
    if (connection !== undefined) this.#resizer.resize(this.size);
    this.#running ??= this.#run(connection);
  }

  /** Sends all output to that client from now on. If the terminal runs, a repaint precedes it. */
  show(client: SessionClient, mode: RestoreMode): void {
    this.#client = client;
    this.#mode = mode;
    this.#isPainted = false;
    this.#hasSkipped = false;
    this.resize(client.size);
    // Without a stream the repaint is sent when the stream was opened again. A new terminal needs none.
    if (this.isOpen) this.#whileHolding(() => this.#paint());
  }

  /** Sends no more output to the client. */
  hide(): void {
    this.#client = undefined;
  }

  /** Writes a client's input. Resolves when there is room for more; never rejects. */
  write(input: Uint8Array): Promise<void> {
    return this.#input.write(input);
  }

  resize(size: TerminalSize): void {
    this.#screen.resize(size);
    this.#resizer.resize(this.size);
  }

  /**
   * Starts or ends the hurry in which a container is killed: reading pauses for no client, so a slow client may miss output.
   * When the hurry ends and the container still runs, such a client gets a new repaint.
   */
  hurry(isHurried: boolean): void {
    this.#isHurried = isHurried;
    if (isHurried || !this.#hasSkipped) return;
    this.#hasSkipped = false;
    this.#isPainted = false;
    this.#whileHolding(() => this.#paint());
  }

  /**
   * To be called when the container has ended. Resolves when all of its output was passed on: at the end of the stream, or
   * when the engine has been silent for a while (Docker 20.10 sometimes leaves the stream of a killed container open).
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

  /** Closes the stream; the container keeps running. May be called again. */
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

  /** Keeps a stream open until the container has ended or the terminal is disposed. */
  async #run(first: AttachConnection | undefined): Promise<void> {
    const { containerId, terminals, clock, logger } = this.#options;
    const abort = this.#stopping.signal;
    const backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
    let connection = first;
    while (!abort.aborted) {
      try {
        connection ??= await terminals.attachRunning(containerId, abort);
        if (abort.aborted) break;
        if (connection !== first) this.#rebuild();
        if (await this.#relay(connection)) backoff.reset();
      } catch (error) {
        if (abort.aborted) break;
        logger.debug(`lost the terminal of container ${containerId}: ${messageOf(error)}`);
      } finally {
        connection?.[Symbol.dispose]();
      }
      connection = undefined;
      if (this.#hasEnded) break;
      await delayUnlessAborted(backoff.next(), { clock, abort });
    }
    connection?.[Symbol.dispose]();
  }

  /** Passes output on until the stream ends. Returns whether there was any. */
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
        this.#held.push(buffer.subarray(0, count));
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
    // A full client that got still more would be dropped as slow, and would not get the session's exit.
    if (this.#isHurried && this.#client?.isFull) this.#hasSkipped = true;
    else this.#client?.send(output);
    this.#screen.write(output);
    this.#recent.push(output);
  }

  /** Rebuilds the screen for a new stream: the output before that stream is in the engine's log. */
  #rebuild(): void {
    this.#held.clear();
    this.#isPainted = false;
    const { containerId, terminals, clock, logger } = this.#options;
    const abort = this.#stopping.signal;
    this.#whileHolding(async () => {
      let before: Uint8Array | undefined;
      try {
        const recent = this.#recent.bytes;
        before = await tailBefore(() => this.#held.bytes(), { containerId, terminals, recent, clock, abort });
      } catch (error) {
        if (abort.aborted) return;
        logger.warn(`cannot restore the screen of container ${containerId}: ${messageOf(error)}`);
      }
      this.#screen.restart(before);
      this.#recent.restart(before);
      await this.#paint();
      // An engine may log whole lines only, and a full-screen program draws without line ends.
      this.#resizer.redraw(this.size);
    });
  }

  /** Sends the client a repaint, if it has not got one since it was attached or the screen was rebuilt. */
  async #paint(): Promise<void> {
    const client = this.#client;
    if (client === undefined || this.#isPainted) return;
    this.#isPainted = true;
    if (this.#mode.kind === "none") return;
    const repaint = await this.#screen.repaint(this.#mode);
    // Another client may have been attached in the meantime.
    if (this.#client === client) client.send(repaint);
  }

  /** Does one piece of work after another. Output that arrives in the meantime follows them. */
  #whileHolding(work: () => Promise<void>): void {
    this.#held.hold();
    this.#restoring = this.#restoring.then(work).catch((error: unknown) => {
      if (this.#stopping.signal.aborted) return;
      this.#options.logger.error(`cannot show the screen of a session: ${messageOf(error)}`);
    }).finally(() => this.#held.release());
  }
}
