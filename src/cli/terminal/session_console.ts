/**
 * The local end of a session: this terminal, or the pipes in its place. It owns the terminal's settings while it is open,
 * sends input to the current connection, and looks for the detach keys in that input. Connections to daemons come and go:
 * `relay` serves one, from its first byte to its end.
 */
import type { SessionAttachment } from "../../client/session_attachment.ts";
import type { CliContext, VerbSignal } from "../cli_context.ts";
import { type TerminalSize, terminalSize } from "../standard_streams.ts";
import { DetachScanner } from "./detach_keys.ts";
import { RawTerminal } from "./raw_terminal.ts";
import type { EndingSignal, RelayEnd } from "./session_end.ts";
import { TerminalModes } from "./terminal_modes.ts";

const ENDING_SIGNALS: readonly EndingSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** A daemon detaches a client at once; this client does not wait longer for one that hangs. */
const DETACH_WITHIN_MS = 2_000;
const READ_BYTES = 16 * 1024;
const CTRL_C = 0x03;

export class SessionConsole implements AsyncDisposable {
  readonly #context: CliContext;
  readonly #scanner: DetachScanner;
  readonly #modes = new TerminalModes();
  readonly #raw: RawTerminal | undefined;
  readonly #undo: (() => void)[] = [];
  #current: SessionAttachment | undefined;
  readonly #leaving = new AbortController();
  #leaveTimer: ReturnType<typeof setTimeout> | undefined;
  #interruptedBy: EndingSignal | undefined;
  #isDisposed = false;

  private constructor(context: CliContext, keys: Uint8Array, raw: RawTerminal | undefined) {
    this.#context = context;
    this.#scanner = new DetachScanner(keys);
    this.#raw = raw;
    for (const signal of ENDING_SIGNALS) this.#listen(signal, () => this.#interrupt(signal));
    this.#listen("SIGWINCH", () => void this.#current?.resize(this.size));
    // Not awaited: a pending read of a terminal cannot be cancelled. It ends with the input, or with this process.
    void this.#readInput();
  }

  /** Makes the terminal raw if both standard input and output are one. @param keys as `parseDetachKeys` returns them */
  static async open(context: CliContext, keys: Uint8Array): Promise<SessionConsole> {
    const { stdin, stdout } = context;
    const raw = stdin.isTerminal && stdout.isTerminal ? await RawTerminal.enter() : undefined;
    return new SessionConsole(context, keys, raw);
  }

  /** The current size of the terminal. */
  get size(): TerminalSize {
    return terminalSize(this.#context.stdout);
  }

  /** Aborted when the user presses the detach keys, or a signal arrives: there is no point in attaching again. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  get isLeaving(): boolean {
    return this.#leaving.signal.aborted;
  }

  /**
   * Shows the session's output and sends it input until the connection ends.
   *
   * @param requested the terminal size that the client requested when it attached
   */
  async relay(session: SessionAttachment, requested: TerminalSize): Promise<RelayEnd> {
    this.#current = session;
    if (this.isLeaving) session[Symbol.dispose]();
    const { columns, rows } = this.size;
    // The terminal may have been resized during the request.
    if (columns !== requested.columns || rows !== requested.rows) void session.resize({ columns, rows });
    try {
      while (true) {
        const message = await session.next();
        if (message.kind !== "output") return this.endOf(message);
        await this.#show(message.bytes);
      }
    } finally {
      this.#current = undefined;
      clearTimeout(this.#leaveTimer);
    }
  }

  /** Turns the loss of the connection into a detach or an interrupt if the user was leaving anyway. */
  endOf(end: RelayEnd): RelayEnd {
    const isLoss = end.kind === "lost" || end.kind === "detach" && end.detach.reason === "shutdown";
    if (!isLoss || !this.isLeaving) return end;
    const signal = this.#interruptedBy;
    return signal === undefined
      ? { kind: "detach", detach: { reason: "requested" } }
      : { kind: "interrupted", signal };
  }

  /** Prints a message on stderr, on a line of its own. */
  async notify(text: string): Promise<void> {
    const line = `apex: ${text}`;
    await this.#context.stderr.print(this.#raw === undefined || this.#isDisposed ? line : `\r\n${line}\r`);
  }

  /** Restores the terminal. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const undo of this.#undo) undo();
    await this.#raw?.[Symbol.asyncDispose]();
    const { stdout } = this.#context;
    if (stdout.isTerminal) await stdout.write(new TextEncoder().encode(this.#modes.restoring));
  }

  async #show(output: Uint8Array): Promise<void> {
    const hadOrigin = this.#modes.hadOrigin;
    this.#modes.observe(output);
    // Before the output is written, because this process may be killed at any time.
    if (this.#modes.hadOrigin && !hadOrigin) await this.#raw?.willHaveOrigin();
    await this.#context.stdout.write(output);
  }

  #listen(signal: VerbSignal, listener: () => void): void {
    this.#undo.push(this.#context.onSignal(signal, listener));
  }

  #interrupt(signal: EndingSignal): void {
    this.#interruptedBy ??= signal;
    this.#leaving.abort();
    this.#current?.[Symbol.dispose]();
  }

  async #readInput(): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    while (!this.#isDisposed) {
      const count = await this.#context.stdin.read(buffer);
      if (count === null) return; // The end of a pipe: the session continues, and its output is still shown.
      const { forward, detached } = this.#scanner.scan(buffer.subarray(0, count));
      // A raw terminal sends Ctrl-C as a byte. Without a connection no session can receive it, so it ends this client.
      if (this.#current === undefined && this.#raw && forward.includes(CTRL_C)) this.#interrupt("SIGINT");
      await this.#current?.input(forward);
      if (detached) await this.#leave();
    }
  }

  async #leave(): Promise<void> {
    this.#leaving.abort();
    const session = this.#current;
    if (session === undefined) return;
    this.#leaveTimer = setTimeout(() => session[Symbol.dispose](), DETACH_WITHIN_MS);
    await session.detach();
  }
}
