/**
 * The one error class of apex, and the one table from its codes to exit statuses. Programmers' mistakes stay built-in
 * errors (`TypeError`, `RangeError`); everything a user can meet is an {@linkcode ApexError}.
 */

/** What kind of failure it is. Control replies carry the same words in `error.code`. */
export type ErrorCode = keyof typeof EXIT_STATUS;

/** Exit status by error code (README.md has the table for users). */
export const EXIT_STATUS = {
  /** Anything that has no word of its own. */
  failed: 1,
  /** The container engine cannot be reached, or refused a request. */
  engine: 1,
  /** A verb, flag, environment variable or config value that makes no sense. */
  usage: 2,
  /** The peer sent what is not the protocol, or speaks another major version of it. */
  protocol: 1,
  /** No daemon answers on the control socket. */
  no_daemon: 3,
  /** No container, task or session has that name. */
  not_found: 4,
  /** Somebody else holds it: a second daemon, a session attached elsewhere, a task id in use. */
  busy: 5,
  conflict: 5,
  /** The event stream ended before it should: dropped as slow, or the connection was lost. */
  stream_cut: 6,
  timeout: 124,
  interrupted: 130,
} as const;

/**
 * An error whose message is meant for the person at the terminal: what failed, why, and what to do about it.
 * The command line prints `apex: <message>` and exits with {@linkcode EXIT_STATUS} of its `code`.
 */
export class ApexError extends Error {
  override readonly name: string = "ApexError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What is wrong, of anything thrown, for use inside another message. It does not name the file: the caller does. */
export function messageOf(error: unknown): string {
  return systemReason(error) ?? textOf(error);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** By the code of a system error: why it happened. Linux, macOS and the BSDs share the codes, not the numbers. */
const REASONS: Readonly<Record<string, string>> = {
  E2BIG: "the arguments are too long",
  EACCES: "permission denied",
  EADDRINUSE: "another process listens there",
  EBUSY: "it is in use",
  ECONNREFUSED: "nobody listens there",
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
  ETXTBSY: "it is a program that is running",
  EXDEV: "the two paths are on different file systems",
};

/**
 * Why the operating system (or Deno's permission check) refused something, in words for people; undefined for every other
 * error. The runtime's own text (`No such file or directory (os error 2): open '/x'`) never reaches a user.
 */
export function systemReason(error: unknown): string | undefined {
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno was started without the permission (use: deno run -A)";
  }
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return Object.hasOwn(REASONS, error.code) ? REASONS[error.code] : undefined;
}

/** The path in the runtime's text of a system error, where there is one. */
export function systemErrorPath({ message }: Error): string | undefined {
  return /: \w+ '(.*?)'/.exec(message)?.[1];
}
