import type { CliContext } from "../../../src/cli/cli_context.ts";
import type { Output } from "../../../src/cli/standard_streams.ts";
import { within } from "../within.ts";

/** An output that keeps what is written. */
export class CapturedOutput implements Output {
  readonly isTerminal: boolean;
  readonly columns: number | undefined;
  readonly colors: boolean;
  text = "";
  readonly #decoder = new TextDecoder();
  #waiting: { readonly text: string; readonly resolve: () => void }[] = [];

  constructor(
    options: { readonly isTerminal?: boolean; readonly colors?: boolean; readonly columns?: number } = {},
  ) {
    this.isTerminal = options.isTerminal ?? false;
    this.colors = options.colors ?? false;
    this.columns = options.columns;
  }

  write(bytes: Uint8Array): Promise<void> {
    this.text += this.#decoder.decode(bytes, { stream: true });
    const arrived = this.#waiting.filter(({ text }) => this.text.includes(text));
    this.#waiting = this.#waiting.filter((wait) => !arrived.includes(wait));
    for (const { resolve } of arrived) resolve();
    return Promise.resolve();
  }

  /** Resolves when the text has been written, also if that was before the call. */
  async until(text: string): Promise<void> {
    if (this.text.includes(text)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ text, resolve });
    await within(WRITTEN_WITHIN_MS, `${JSON.stringify(text)} in the output`, promise);
  }

  relay(bytes: Uint8Array): Promise<void> {
    return this.write(bytes);
  }

  print(line: string): Promise<void> {
    return this.write(new TextEncoder().encode(`${line}\n`));
  }
}

const WRITTEN_WITHIN_MS = 20_000;

/** The context of a verb, with all output captured. A test overrides the parts that it needs. */
export function testContext(
  given: Partial<CliContext> & { stdout: CapturedOutput },
): CliContext & { stdout: CapturedOutput } {
  return {
    env: () => undefined,
    cwd: "/",
    stdin: {
      isTerminal: false,
      isPiped: () => Promise.resolve(false),
      read: () => Promise.resolve(null),
      readLine: () => Promise.resolve(null),
    },
    stderr: new CapturedOutput(),
    now: () => Date.parse("2025-01-01T00:00:00Z"),
    // A program that only fails, for tests that start no daemon.
    selfCommand: ["/bin/false"],
    onSignal: () => () => {},
    checkDaemon: () => Promise.resolve(),
    ...given,
  };
}
