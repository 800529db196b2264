/**
 * Signals that apex itself sends to containers, from before the engine is asked until it tells of them: such a kill is no
 * part of anybody's `stop`. Which of several kills by the same signal are apex's own does not matter, only how many.
 *
 * A note is used up by the engine's `kill`, and otherwise ends with its request, if that fails, or with the run that it
 * was for. Where it is missing (in the next life, say) a kill counts as somebody else's: its exit is told later, and right.
 */
import type { Signal } from "./engine_dialect.ts";

/** A `kill` of the run before comes no more: the engine tells of a kill before the end that it leads to. */
const ENDS_RUN: ReadonlySet<Signal["kind"]> = new Set(["die", "start", "remove"]);

interface Note {
  readonly signal: number;
}

export class OwnKills {
  /** By the container's full id. */
  readonly #notes = new Map<string, readonly Note[]>();

  /** apex sends that signal now; the returned function takes that back. */
  expect(id: string, signal: number): () => void {
    const note: Note = { signal };
    this.#notes.set(id, [...this.#notes.get(id) ?? [], note]);
    return () => this.#without(id, note);
  }

  /** To be called with everything that happens to a container, in order: returns it, marked where it is apex's own doing. */
  see(signal: Signal): Signal {
    if (ENDS_RUN.has(signal.kind)) this.#notes.delete(signal.id);
    if (signal.kind !== "kill" || signal.silent === true) return signal;
    const note = this.#notes.get(signal.id)?.find((each) => each.signal === signal.signal);
    if (note === undefined) return signal;
    this.#without(signal.id, note);
    return { ...signal, isOwn: true };
  }

  clear(): void {
    this.#notes.clear();
  }

  #without(id: string, note: Note): void {
    const others = this.#notes.get(id)?.filter((each) => each !== note) ?? [];
    if (others.length > 0) this.#notes.set(id, others);
    else this.#notes.delete(id);
  }
}
