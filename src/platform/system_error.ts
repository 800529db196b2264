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
