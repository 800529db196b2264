import { dirname } from "@std/path/posix";
import { ApexError } from "../../platform/apex_error.ts";

/** Where a file is, or would be, behind all symbolic links. */
export interface RegularFile {
  readonly path: string;
  /** The bits of its permissions; undefined when there is no such file yet. */
  readonly mode: number | undefined;
}

/** As many as Linux follows. */
const MAX_LINKS = 40;
const PERMISSIONS = 0o7777;

/**
 * What a path leads to: a regular file, or none yet, also behind a link that leads nowhere.
 *
 * @throws {ApexError} `usage` for something that exists and is not a regular file, and for a missing directory; {Deno.errors} where the path cannot be followed.
 */
export function regularFile(path: string): RegularFile {
  let info: Deno.FileInfo;
  try {
    // Links of /proc lead where their text does not say: only the system can follow them.
    info = Deno.statSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const end = endOfLinks(path);
    if (!exists(dirname(end))) throw new ApexError("usage", "its directory does not exist");
    return { path: end, mode: undefined };
  }
  if (!info.isFile) throw new ApexError("usage", `it is ${kindOf(info)}, not a regular file`);
  return { path: Deno.realPathSync(path), mode: info.mode === null ? undefined : info.mode & PERMISSIONS };
}

/** Of a link that leads nowhere, or of what is not there at all. */
function endOfLinks(path: string): string {
  let end = path;
  for (let links = 0; links < MAX_LINKS && isLink(end); links++) {
    const target = Deno.readLinkSync(end);
    // As it is: what `..` means depends on the links before it.
    end = target.startsWith("/") ? target : `${dirname(end)}/${target}`;
  }
  return end;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function kindOf({ isDirectory, isFifo, isSocket, isCharDevice, isBlockDevice }: Deno.FileInfo): string {
  if (isDirectory) return "a directory";
  if (isFifo) return "a FIFO";
  if (isSocket) return "a socket";
  return isCharDevice || isBlockDevice ? "a device" : "something else";
}
