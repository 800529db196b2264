import type { CliContext } from "../../src/cli/cli_context.ts";
import type { Output } from "../../src/cli/output.ts";

/** An output that keeps what is written. */
export class CapturedOutput implements Output {
  readonly isTerminal: boolean;
  readonly columns = undefined;
  readonly colors: boolean;
  text = "";
  readonly #decoder = new TextDecoder();

  constructor(options: { readonly isTerminal?: boolean; readonly colors?: boolean } = {}) {
    this.isTerminal = options.isTerminal ?? false;
    this.colors = options.colors ?? false;
  }

  write(bytes: Uint8Array): Promise<void> {
    this.text += this.#decoder.decode(bytes, { stream: true });
    return Promise.resolve();
  }

  print(line: string): Promise<void> {
    return this.write(new TextEncoder().encode(`${line}\n`));
  }
}

/** A verb's surroundings with everything captured; what a test needs otherwise, it gives. */
export function testContext(
  given: Partial<CliContext> & { stdout: CapturedOutput },
): CliContext & { stdout: CapturedOutput } {
  return {
    env: () => undefined,
    cwd: "/",
    stderr: new CapturedOutput(),
    now: () => Date.parse("2025-01-01T00:00:00Z"),
    ...given,
  };
}
