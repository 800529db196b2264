/**
 * The id of an apex instance: 16 random hex digits, by which apex recognizes the containers that it created. It has a file of
 * its own because a damaged database is moved aside, and apex would then no longer own its running containers.
 */
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { randomHex } from "../platform/random_hex.ts";

const ID_BYTES = 8;
const CONTENT = /^[0-9a-f]{16}\n?$/;
/** A larger file was not written by apex, and is not read. */
const MAX_FILE_BYTES = 64;

export function newInstanceId(): string {
  return randomHex(ID_BYTES);
}

/**
 * Reads the id from the file, creating the file (0600) with a new id when it does not exist. The caller holds the lock of the
 * directory.
 *
 * @throws {ApexError} `failed` when the file contains no id: a new id would disown the containers of this instance
 */
export async function loadInstanceId(path: string): Promise<string> {
  try {
    const { isFile, size } = await Deno.lstat(path);
    if (!isFile) throw damaged(path, "it is not a regular file");
    const text = size > MAX_FILE_BYTES ? "" : await Deno.readTextFile(path);
    if (CONTENT.test(text)) return text.trimEnd();
    throw damaged(path, "it does not contain 16 hex digits");
  } catch (error) {
    if (error instanceof ApexError) throw error;
    if (!(error instanceof Deno.errors.NotFound)) throw unusable(path, error);
    return await create(path);
  }
}

/** Creates the whole file or nothing, even if the machine loses its power. */
async function create(path: string): Promise<string> {
  const id = newInstanceId();
  const temporary = `${path}.new`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, create: true, truncate: true, mode: 0o600 });
      await file.write(new TextEncoder().encode(`${id}\n`));
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    throw unusable(path, error);
  }
  return id;
}

function damaged(path: string, why: string): ApexError {
  return new ApexError(
    "failed",
    `cannot read the id of this apex instance from ${path}: ${why} (restore the file, or remove it to start as a new ` +
      "instance that does not own the existing containers)",
  );
}

function unusable(path: string, cause: unknown): ApexError {
  return new ApexError("failed", `cannot use the file ${path}: ${messageOf(cause)}`, { cause });
}
