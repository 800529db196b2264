import { HttpError } from "../http/http_error.ts";
import type { EmbeddedExec } from "./embedded_exec.ts";

/** Clients need an exec for a moment after its end; Docker forgets ended ones after some minutes. */
const MAX_EXECS = 4_096;

/** All execs of the engine, by id. Bounded: of those that do not run the oldest is forgotten for a new one. */
export class ExecStore {
  readonly #byId = new Map<string, EmbeddedExec>();

  /** @throws {HttpError} 503 when too many run */
  add(exec: EmbeddedExec): void {
    if (this.#byId.size >= MAX_EXECS) {
      const oldest = [...this.#byId.values()].find(({ status }) => status !== "running");
      if (oldest === undefined) throw new HttpError(503, `more than ${MAX_EXECS} exec instances run`);
      this.#byId.delete(oldest.id);
    }
    this.#byId.set(exec.id, exec);
  }

  /** @throws {HttpError} 404 */
  get(id: string): EmbeddedExec {
    const exec = this.#byId.get(id);
    if (exec === undefined) throw new HttpError(404, `No such exec instance: ${id}`);
    return exec;
  }

  deleteOf(containerId: string): void {
    for (const exec of this.#byId.values()) {
      if (exec.containerId === containerId) this.#byId.delete(exec.id);
    }
  }
}
