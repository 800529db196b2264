/**
 * All containers of the engine, by id and by name. Owns the names: only the index assigns, changes and frees one, in the
 * same synchronous block as the event that reports it.
 */
import { HttpError } from "../http/http_message.ts";
import { checkContainerName } from "../spec/names.ts";
import type { EmbeddedContainer } from "./embedded_container.ts";

export class ContainerIndex {
  readonly #byId = new Map<string, EmbeddedContainer>();
  readonly #byName = new Map<string, EmbeddedContainer>();

  get size(): number {
    return this.#byId.size;
  }

  /** The newest first, as Docker lists them. */
  list(): EmbeddedContainer[] {
    return [...this.#byId.values()].reverse();
  }

  has(container: EmbeddedContainer): boolean {
    return this.#byId.has(container.id);
  }

  hasName(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @throws {HttpError} 409 when another container has that name */
  checkFree(name: string): void {
    const holder = this.#byName.get(name);
    if (holder === undefined) return;
    throw new HttpError(
      409,
      `Conflict. The container name "/${name}" is already in use by container "${holder.id}". ` +
        "You have to remove (or rename) that container to be able to reuse that name.",
    );
  }

  add(container: EmbeddedContainer): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.name, container);
  }

  delete(container: EmbeddedContainer): void {
    this.#byId.delete(container.id);
    this.#byName.delete(container.name);
  }

  /**
   * Finds a container by its full id, its name (with or without the slash), or the beginning of its id.
   * @throws {HttpError} 404 when none matches, 400 when several ids begin so
   */
  get(reference: string): EmbeddedContainer {
    const found = this.#byId.get(reference) ?? this.#byName.get(reference.replace(/^\//, ""));
    if (found !== undefined) return found;
    const candidates = reference === ""
      ? []
      : [...this.#byId.values()].filter(({ id }) => id.startsWith(reference));
    if (candidates.length > 1) {
      throw new HttpError(400, `Multiple IDs found with provided prefix: ${reference}`);
    }
    const [only] = candidates;
    if (only === undefined) throw new HttpError(404, `No such container: ${reference}`);
    return only;
  }

  /** @throws {HttpError} with Docker's message: 400 for an invalid name or the container's own, 409 for one in use */
  rename(container: EmbeddedContainer, name: string): void {
    const oldName = container.name;
    if (name === oldName) {
      throw new HttpError(400, "Renaming a container with the same name as its current name");
    }
    try {
      checkContainerName(name, { shown: `/${name}` });
      this.checkFree(name);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      throw new HttpError(error.status, `Error when allocating new name: ${error.message}`, { cause: error });
    }
    this.#byName.delete(oldName);
    this.#byName.set(name, container);
    container.name = name;
    container.publishRename(oldName);
  }
}
