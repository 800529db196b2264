/**
 * The names under which this engine knows its one image, busybox: a container runs the machine's own programs, so it has
 * no image to offer but that, and pulls and imports none. Further names are given by `docker tag`. They are kept in a file,
 * so that the next engine of the same directory knows them too.
 */
import * as v from "valibot";
import { isImageId } from "../../engine/image_reference.ts";
import { HttpError } from "../http/http_error.ts";
import { checkImageReference, familiarName } from "./image_reference.ts";

const BUSYBOX = "busybox:latest";
/** Clients want an image to have one, and always the same. */
const BUSYBOX_ID = "sha256:71eb526254e572c6e9fb62c566b10e145ab4a32143ad90cbafdb606d7115ffac";

const fileSchema = v.array(v.string());

export class ImageStore {
  /** Of the one image, `sha256:` and 64 hex digits. */
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

  /** @param reference a name, `latest` where it has no tag; or the image's id */
  has(reference: string): boolean {
    if (isImageId(reference)) return this.id.endsWith(reference.replace(/^sha256:/, ""));
    return this.#names.has(familiarName(reference));
  }

  /** @throws {HttpError} 400 for a malformed reference, 404 for an image that does not exist here */
  check(reference: string): void {
    checkImageReference(reference);
    if (!this.has(reference)) throw new HttpError(404, `No such image: ${familiarName(reference)}`);
  }

  /**
   * Gives the image another name.
   * @throws {HttpError} as {@linkcode check}, for `source` and for `name`'s form
   */
  async tag(source: string, name: string): Promise<void> {
    this.check(source);
    checkImageReference(name);
    this.#names.add(familiarName(name));
    await Deno.writeTextFile(this.#path, JSON.stringify(this.names), { mode: 0o600 });
  }
}

/** A file that does not exist, or that a crash cut short, names none. */
async function readNames(path: string): Promise<readonly string[]> {
  try {
    const parsed = v.safeParse(fileSchema, JSON.parse(await Deno.readTextFile(path)));
    return parsed.success ? parsed.output : [];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return [];
    throw error;
  }
}
