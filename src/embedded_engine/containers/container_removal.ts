/** The removal of one container: at most one at a time, and one that failed can be tried again. */
import { HttpError } from "../http/http_error.ts";

export interface ContainerRemovalOptions {
  /** The container's own directory; goes with it. */
  readonly dir: string;
  /** For the refusal of a second removal. */
  readonly name: () => string;
  /** Ends the process, for good, and waits for its end. */
  readonly endProcess: () => Promise<void>;
  /** Called in the block in which the container ceases to exist. */
  readonly onRemoved: () => void;
  /** It failed: the container stays. */
  readonly onFailed: () => void;
}

export class ContainerRemoval {
  readonly #options: ContainerRemovalOptions;
  #removal: Promise<void> | undefined;
  #isRemoving = false;

  constructor(options: ContainerRemovalOptions) {
    this.#options = options;
  }

  /** It has begun; it may still wait for the process's end. */
  get hasBegun(): boolean {
    return this.#removal !== undefined;
  }

  /** The process is gone, the directory is being removed. */
  get isRemoving(): boolean {
    return this.#isRemoving;
  }

  /** Resolves when a removal that is under way is over. @throws what it failed with */
  get done(): Promise<void> {
    return this.#removal ?? Promise.resolve();
  }

  /** @throws {HttpError} 409 */
  checkNotBegun(): void {
    if (!this.hasBegun) return;
    throw new HttpError(409, `removal of container ${this.#options.name()} is already in progress`);
  }

  async remove(): Promise<void> {
    await (this.#removal ??= this.#removeNow().catch((error) => {
      this.#removal = undefined;
      this.#isRemoving = false;
      this.#options.onFailed();
      throw error;
    }));
  }

  async #removeNow(): Promise<void> {
    await this.#options.endProcess();
    this.#isRemoving = true;
    await removeTree(this.#options.dir);
    this.#options.onRemoved();
  }
}

async function removeTree(dir: string): Promise<void> {
  try {
    await Deno.remove(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // Never started: it has none.
  }
}
