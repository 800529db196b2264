/**
 * Where a session is shown: this terminal, or the pipes in its place. It owns the terminal's state for as long as it
 * lasts, reads what is typed for whichever connection is the current one, and looks for the detach keys in it.
 */
import type { AttachedSession } from "../../client/attached_session.ts";
import type { SessionDetach, SessionExit } from "../../protocol/session_messages.ts";
import { DetachScanner } from "../args/detach_keys.ts";
import type { CliContext, VerbSignal } from "../cli_context.ts";
import { RawTerminal } from "./raw_terminal.ts";
import { TerminalModes } from "./terminal_modes.ts";

/** How a connection to a session ended for its client. */
export type RelayEnd =
  | { readonly kind: "exit"; readonly exit: SessionExit }
  | { readonly kind: "detach"; readonly detach: SessionDetach }
  /** The connection is gone, and nobody said why. */
  | { readonly kind: "lost" }
  /** This process was asked to end. */
  | { readonly kind: "interrupted"; readonly signal: EndingSignal };

export type EndingSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

export interface SessionConsoleOptions {
  readonly context: CliContext;
  /** As `parseDetachKeys` gives them. */
  readonly keys: Uint8Array;
}

const ENDING_SIGNALS: readonly EndingSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** A daemon answers at once when it is asked to let go; one that does not is left anyway. */
const DETACH_WITHIN_MS = 2_000;
/** Of what is no terminal. */
const DEFAULT_SIZE = { columns: 80, rows: 24 } as const;
const READ_BYTES = 16 * 1024;
const CTRL_C = 0x03;

/** In cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The size of the terminal that is here; the usual one where there is none. */
export function consoleSize({ stdout }: CliContext): TerminalSize {
  if (!stdout.isTerminal) return DEFAULT_SIZE;
  const { columns, rows } = Deno.consoleSize();
  // A terminal of no size yet says 0.
  return columns > 0 && rows > 0 ? { columns, rows } : DEFAULT_SIZE;
}

export class SessionConsole implements AsyncDisposable {
  readonly #context: CliContext;
  readonly #scanner: DetachScanner;
  readonly #modes = new TerminalModes();
  readonly #raw: RawTerminal | undefined;
  readonly #undo: (() => void)[] = [];
  #current: AttachedSession | undefined;
  /** Aborted when the detach keys were pressed, or a signal came. */
  readonly #leaving = new AbortController();
  #leaveTimer: ReturnType<typeof setTimeout> | undefined;
  #interruptedBy: EndingSignal | undefined;
  #isDisposed = false;

  private constructor({ context, keys }: SessionConsoleOptions, raw: RawTerminal | undefined) {
    this.#context = context;
    this.#scanner = new DetachScanner(keys);
    this.#raw = raw;
    for (const signal of ENDING_SIGNALS) this.#listen(signal, () => this.#interrupt(signal));
    this.#listen("SIGWINCH", () => void this.#current?.resize(this.size));
    // It ends with the input or with this process: a read that waits at a terminal cannot be called off.
    void this.#readInput();
  }

  /** Takes the terminal over, if there is one on both sides. */
  static async open(options: SessionConsoleOptions): Promise<SessionConsole> {
    const { stdin, stdout } = options.context;
    const raw = stdin.isTerminal && stdout.isTerminal ? await RawTerminal.enter() : undefined;
    return new SessionConsole(options, raw);
  }

  /** As it is now. */
  get size(): TerminalSize {
    return consoleSize(this.#context);
  }

  /** Aborted when the detach keys were pressed, or a signal came: no use in attaching again. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  get isLeaving(): boolean {
    return this.#leaving.signal.aborted;
  }

  /**
   * Shows the session and types into it until the connection ends.
   * @param asked the size that the daemon was told of this terminal
   */
  async relay(session: AttachedSession, asked: TerminalSize): Promise<RelayEnd> {
    this.#current = session;
    if (this.isLeaving) session[Symbol.dispose]();
    const { columns, rows } = this.size;
    // It became another one while the daemon was waited for.
    if (columns !== asked.columns || rows !== asked.rows) void session.resize({ columns, rows });
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

  /** What that end of a connection is to who was leaving anyway. */
  endOf(end: RelayEnd): RelayEnd {
    const isLoss = end.kind === "lost" || end.kind === "detach" && end.detach.reason === "shutdown";
    if (!isLoss || !this.isLeaving) return end;
    const signal = this.#interruptedBy;
    return signal === undefined
      ? { kind: "detach", detach: { reason: "requested" } }
      : { kind: "interrupted", signal };
  }

  /** Tells the person something, on a line of its own. */
  async say(text: string): Promise<void> {
    const line = `apex: ${text}`;
    await this.#context.stderr.print(this.#raw === undefined || this.#isDisposed ? line : `\r\n${line}\r`);
  }

  /** Gives the terminal back as it was. May be called again. */
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
    // Before it is so: this process may be killed at any time.
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
      if (count === null) return; // A pipe's end: the session goes on, and so does its output.
      const { forward, detached } = this.#scanner.scan(buffer.subarray(0, count));
      // A raw terminal makes no signal of it, and there is no session that could want it.
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
