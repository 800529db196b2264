/**
 * The one error class of apex, and the one table from its codes to exit statuses. A programmer's error stays a built-in
 * error (`TypeError`, `RangeError`); every error that a user can see is an {@linkcode ApexError}.
 */

/** The kind of failure. Control replies carry the same words in `error.code`. */
export type ErrorCode = keyof typeof EXIT_STATUS;

/** Exit status by error code (README.md has the table for users). */
export const EXIT_STATUS = {
  /** Any other failure. */
  failed: 1,
  /** The container engine cannot be reached, or refused a request. */
  engine: 1,
  /** An invalid verb, flag, environment variable or config value. */
  usage: 2,
  /** The peer does not speak the protocol, or speaks another major version. */
  protocol: 1,
  /** No daemon answers on the control socket. */
  no_daemon: 3,
  /** No container, task or session has that name. */
  not_found: 4,
  /** In use: by a second daemon, by another client of the session, or the task id by another task. */
  busy: 5,
  conflict: 5,
  /** The event stream ended early: the subscriber was too slow, or the connection was lost. */
  stream_cut: 6,
  timeout: 124,
  interrupted: 130,
} as const;

/**
 * An error whose message is for the user: what failed, why, and what to do next. The command line prints `apex:
 * <message>` and exits with the {@linkcode EXIT_STATUS} of `code`.
 */
export class ApexError extends Error {
  override readonly name: string = "ApexError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Returns the reason of any thrown value, for use inside another message. It names no file; the caller does. */
export function messageOf(error: unknown): string {
  return systemReason(error) ?? textOf(error);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The reason by system error code. Linux, macOS and the BSDs share the codes, but not the numbers. */
const REASONS: Readonly<Record<string, string>> = {
  E2BIG: "the arguments are too long",
  EACCES: "permission denied",
  EADDRINUSE: "another process is listening",
  EBUSY: "it is in use",
  ECONNREFUSED: "no process is listening",
  ECONNRESET: "the other side closed the connection",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it already exists",
  EFBIG: "the file is too large",
  EIO: "the device reported an input/output error",
  EISDIR: "it is a directory",
  ELOOP: "too many symbolic links in its path",
  EMFILE: "too many open files (raise the limit: ulimit -n)",
  ENAMETOOLONG: "its name is too long",
  ENFILE: "the system has too many open files",
  ENOENT: "no such file or directory",
  ENOMEM: "out of memory",
  ENOSPC: "no space left on the device",
  ENOTDIR: "a part of its path is not a directory",
  ENOTEMPTY: "the directory is not empty",
  ENXIO: "no such device",
  EPERM: "the system does not permit it",
  EPIPE: "the other side closed the connection",
  EROFS: "the file system is read-only",
  ETXTBSY: "the program is running",
  EXDEV: "the two paths are on different file systems",
};

/**
 * Why the operating system (or Deno's permission check) refused an operation, for people; undefined for any other
 * error. The runtime's own text (`No such file or directory (os error 2): open '/x'`) is never shown to users.
 */
export function systemReason(error: unknown): string | undefined {
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno was started without the permission (use: deno run -A)";
  }
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return Object.hasOwn(REASONS, error.code) ? REASONS[error.code] : undefined;
}

/** The path in the runtime's text of a system error, if any. */
export function systemErrorPath({ message }: Error): string | undefined {
  return /: \w+ '(.*?)'/.exec(message)?.[1];
}
