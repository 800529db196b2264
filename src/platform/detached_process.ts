/** Starts a program in the background: it outlives its starter, whatever becomes of that one's terminal. */
import { ApexError, messageOf } from "./apex_error.ts";

export interface DetachedOptions {
  /** The program and its arguments; paths in it are absolute. */
  readonly command: readonly string[];
  /** Its output is appended here; made (0600) where it is missing. */
  readonly logPath: string;
  /** Variables that it gets beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface DetachedProcess {
  readonly pid: number;
  /** Resolves when it has ended. Waiting for it keeps no process alive. */
  readonly status: Promise<Deno.CommandStatus>;
  /** The end of what it has written to its log since it was started. */
  output(maxCharacters: number): Promise<string>;
}

/**
 * Starts it in a session of its own, in `/`, with as many descriptors as it may have, and with none of this process's
 * beyond 0, 1 and 2: a lock or a pipe of the caller's would otherwise stay taken for as long as it runs.
 *
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
 * Closes every descriptor from 3 up, raises the limit (a compiled binary does not do so itself), and becomes the program.
 * A shell that reads `10>` as a word and a redirection would end at it, so that is tried in a subshell first.
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

/** Debian's `sh` (dash) has only the descriptors 0 to 9 in redirections; where it is the shell, there is bash, too. */
const SHELL_SCRIPT = `
shell=/bin/sh
(exec 10>&-) 2>/dev/null || shell=$(command -v bash) || shell=/bin/sh
exec "$shell" -c "$0" "$@"`;

/** Makes the log if it is missing; its size, behind which the new program's words will stand. */
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
      // It must not keep the directory busy in which its starter happened to be.
      cwd: "/",
      // A session of its own: neither Ctrl-C nor the terminal's end reaches it.
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch (cause) {
    throw new ApexError("failed", `cannot start ${command[0]}: ${messageOf(cause)}`, { cause });
  }
}
