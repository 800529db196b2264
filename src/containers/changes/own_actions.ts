/**
 * The kills and removals that apex itself has asked the engine for, from before the request until the engine reports
 * them. A kill of apex's own is not part of a client's `stop`. A removal of apex's own is published with `forced`.
 *
 * Of several kills with the same signal only their number matters. A note ends with the engine's `kill`, with its
 * request if that fails, or with the run that it was meant for. Without a note (after a restart of apex, say) a kill
 * counts as a client's: its exit is published later, and still correct. Podman's `kill` has no signal, so no note matches it.
 */
import { signalNumber } from "../../platform/signals.ts";
import type { ContainerChange } from "./container_change.ts";

/** No `kill` of the run before follows these: the engine reports a kill before the end that it leads to. */
const ENDS_RUN: ReadonlySet<ContainerChange["kind"]> = new Set(["die", "start", "remove"]);

interface Removal {
  readonly forced: boolean;
}

export class OwnActions {
  /** By the container's full id. */
  readonly #kills = new Map<string, readonly { readonly signal: number }[]>();
  /** By the container's full id; several clients may have asked for the removal. */
  readonly #removals = new Map<string, readonly Removal[]>();

  /** apex sends that signal, in any spelling, now. The returned function withdraws the note. */
  expectKill(id: string, signal: string): () => void {
    const number = signalNumber(signal);
    return number === undefined ? () => {} : note(this.#kills, id, { signal: number });
  }

  /** apex removes that container now. The returned function withdraws the note. */
  expectRemoval(id: string, forced: boolean): () => void {
    // For a name that the registry does not know, the removal could not be matched.
    return /^[0-9a-f]{64}$/.test(id) ? note(this.#removals, id, { forced }) : () => {};
  }

  /** Must see every change of a container, in order. Returns it, marked if it is apex's own kill. */
  mark(change: ContainerChange): ContainerChange {
    if (ENDS_RUN.has(change.kind)) this.#kills.delete(change.id);
    if (change.kind !== "kill" || change.silent === true) return change;
    const kill = this.#kills.get(change.id)?.find(({ signal }) => signal === change.signal);
    if (kill === undefined) return change;
    withdraw(this.#kills, change.id, kill);
    return { ...change, isOwn: true };
  }

  /** Ends the notes about that container's removal; undefined when apex did not ask for it. */
  takeRemoval(id: string): Removal | undefined {
    const removals = this.#removals.get(id);
    this.#removals.delete(id);
    return removals && { forced: removals.some(({ forced }) => forced) };
  }

  clear(): void {
    this.#kills.clear();
    this.#removals.clear();
  }
}

function note<Note>(notes: Map<string, readonly Note[]>, id: string, added: Note): () => void {
  notes.set(id, [...notes.get(id) ?? [], added]);
  return () => withdraw(notes, id, added);
}

function withdraw<Note>(notes: Map<string, readonly Note[]>, id: string, withdrawn: Note): void {
  const others = notes.get(id)?.filter((each) => each !== withdrawn) ?? [];
  if (others.length > 0) notes.set(id, others);
  else notes.delete(id);
}
