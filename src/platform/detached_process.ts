/** Starts a program in the background that outlives this process and its terminal. */
import { ApexError, messageOf } from "./apex_error.ts";

export interface DetachedOptions {
  /** The program and its arguments, with absolute paths. */
  readonly command: readonly string[];
  /** The program's output is appended to this file, which is created (0600) if necessary. */
  readonly logPath: string;
  /** Variables in addition to those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface DetachedProcess {
  readonly pid: number;
  /** Resolves when the program has exited. Waiting for it does not keep this process alive. */
  readonly status: Promise<Deno.CommandStatus>;
  /** Returns the end of what the program has written to its log since its start. */
  output(maxCharacters: number): Promise<string>;
}

/**
 * Starts the program in a session of its own, in `/`, with the highest descriptor limit, and with none of this
 * process's descriptors beyond 0, 1 and 2: an inherited lock or pipe would stay open as long as the program runs.
 * @throws {ApexError} `failed` when the log cannot be written, or the program cannot be started
 */
export async function startDetached(options: DetachedOptions): Promise<DetachedProcess> {
  const { logPath } = options;
  const logStart = await openLog(logPath);
  const child = spawn(options);
  child.unref();
  return {
    pid: child.pid,
    status: child.status,
    async output(maxCharacters) {
      const written = (await Deno.readFile(logPath)).subarray(logStart);
      return new TextDecoder().decode(written).trim().slice(-maxCharacters);
    },
  };
}

/**
 * Closes every descriptor from 3 up, raises the descriptor limit (a compiled binary does not do so itself), and
 * executes the program. A shell that reads `10>` as a word and a redirection would exit there, so each close is tried
 * in a subshell first.
 */
const LAUNCH_SCRIPT = `
for fd in /proc/self/fd/* /dev/fd/*; do
  fd=\${fd##*/}
  case $fd in
    0 | 1 | 2 | *[!0-9]*) ;;
    ?) eval "exec $fd>&-" ;;
    *) (eval "exec $fd>&-") 2>/dev/null && eval "exec $fd>&-" ;;
  esac
done
ulimit -n "$(ulimit -Hn)" 2>/dev/null
exec "$@" >>"$0" 2>&1`;

/** Debian's `sh` (dash) allows only the descriptors 0 to 9 in redirections. Systems with dash also have bash. */
const SHELL_SCRIPT = `
shell=/bin/sh
(exec 10>&-) 2>/dev/null || shell=$(command -v bash) || shell=/bin/sh
exec "$shell" -c "$0" "$@"`;

/** Creates the log if necessary. Returns its size, where the output of the new program will begin. */
async function openLog(path: string): Promise<number> {
  try {
    using file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
    return (await file.stat()).size;
  } catch (cause) {
    throw new ApexError("failed", `cannot write the log ${path}: ${messageOf(cause)}`, { cause });
  }
}

function spawn({ command, logPath, env = {} }: DetachedOptions): Deno.ChildProcess {
  try {
    return new Deno.Command("/bin/sh", {
      args: ["-c", SHELL_SCRIPT, LAUNCH_SCRIPT, logPath, ...command],
      env,
      // The program must not keep the starter's current directory busy.
      cwd: "/",
      // In a session of its own, neither Ctrl-C nor the end of the terminal reaches the program.
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch (cause) {
    throw new ApexError("failed", `cannot start ${command[0]}: ${messageOf(cause)}`, { cause });
  }
}
