/**
 * The names of the embedded engine's only image, busybox. A container runs the programs of this machine, so the engine has
 * no other image, and pulls and imports none. `docker tag` adds a name. The names are kept in a file, so that the next
 * engine of the same directory has them too.
 */
import * as v from "valibot";
import { isImageId, parseImageReference } from "../../engine/image_pull.ts";
import { HttpError } from "../http/http_message.ts";

const BUSYBOX = "busybox:latest";
/** An arbitrary id, which never changes. */
const BUSYBOX_ID = "sha256:71eb526254e572c6e9fb62c566b10e145ab4a32143ad90cbafdb606d7115ffac";

const fileSchema = v.array(v.string());

export class ImageStore {
  /** The id of the image: `sha256:` and 64 hex digits. */
  readonly id = BUSYBOX_ID;
  readonly #path: string;
  readonly #names: Set<string>;

  private constructor(path: string, names: Iterable<string>) {
    this.#path = path;
    this.#names = new Set(names);
  }

  /** @param path where the names are kept; the file need not exist */
  static async open(path: string): Promise<ImageStore> {
    return new ImageStore(path, [BUSYBOX, ...await readNames(path)]);
  }

  /** All names, each with its tag. */
  get names(): readonly string[] {
    return [...this.#names];
  }

  /** @param reference a name, with the tag `latest` by default; or the image's id */
  has(reference: string): boolean {
    if (isImageId(reference)) return this.id.endsWith(reference.replace(/^sha256:/, ""));
    return this.#names.has(familiarName(reference));
  }

  /** @throws {HttpError} 400 for a malformed reference, 404 for an image that does not exist */
  check(reference: string): void {
    checkImageReference(reference);
    if (!this.has(reference)) throw new HttpError(404, `No such image: ${familiarName(reference)}`);
  }

  /**
   * Gives the image another name.
   * @throws {HttpError} 400 for a malformed `source` or `name`, 404 when `source` does not exist
   */
  async tag(source: string, name: string): Promise<void> {
    this.check(source);
    checkImageReference(name);
    this.#names.add(familiarName(name));
    await Deno.writeTextFile(this.#path, JSON.stringify(this.names), { mode: 0o600 });
  }
}

/** Returns no names for a file that does not exist, or that a crash cut short. */
async function readNames(path: string): Promise<readonly string[]> {
  try {
    const parsed = v.safeParse(fileSchema, JSON.parse(await Deno.readTextFile(path)));
    return parsed.success ? parsed.output : [];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return [];
    throw error;
  }
}

/**
 * Checks the reference of an image by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`.
 * @throws {HttpError} 400 with Docker's message
 */
export function checkImageReference(reference: string): void {
  if (/^[0-9a-f]{64}$/.test(reference)) return; // An image's id.
  if (parseImageReference(reference) !== undefined) return;
  const lower = parseImageReference(reference.toLowerCase()) !== undefined;
  throw new HttpError(400, `invalid reference format${lower ? ": repository name must be lowercase" : ""}`);
}

/** The short form of a reference, with its tag: `docker.io/library/busybox` becomes `busybox:latest`. A digest stays. */
export function familiarName(reference: string): string {
  const short = reference.replace(/^(index\.)?docker\.io\//, "").replace(/^library\//, "");
  const name = short.slice(short.lastIndexOf("/") + 1);
  return name.includes(":") || name.includes("@") ? short : `${short}:latest`;
}
