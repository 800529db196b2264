import { EventEmitter } from "eventemitter3";
import { messageOf } from "./apex_error.ts";
import type { Logger } from "./logger.ts";

/** A listener of one event. */
export type ListenerOf<Events extends object, Name extends keyof Events> = (event: Events[Name]) => void;

type Guard = (...args: unknown[]) => void;

/**
 * eventemitter3 with types (`Events` maps names to payloads), and with two additions:
 *
 * - A listener of `family:*` is called with each event whose name starts with `family:`, and with that name.
 * - A listener that throws does not affect the others: its error goes to `report`, and `emit` returns. (eventemitter3 alone
 *   would throw the error from `emit`, in the middle of a change of state.)
 */
export class TypedEmitter<Events extends object> {
  readonly #emitter = new EventEmitter();
  readonly #report: (error: unknown, name: string) => void;
  /** The guarded form of each listener, by event name, so that `off` finds what `on` added. */
  readonly #guards = new Map<string, WeakMap<object, Guard>>();

  constructor(report: (error: unknown, name: string) => void) {
    this.#report = report;
  }

  /** An emitter that logs the errors of its listeners. */
  static logging<Events extends object>(logger: Pick<Logger, "error">): TypedEmitter<Events> {
    return new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
  }

  /** Adds a listener. The returned function removes it. */
  on<Name extends keyof Events & string>(name: Name, listener: ListenerOf<Events, Name>): () => void {
    this.#emitter.on(name, this.#guard(name, listener));
    return () => this.off(name, listener);
  }

  once<Name extends keyof Events & string>(name: Name, listener: ListenerOf<Events, Name>): void {
    this.#emitter.once(name, this.#guard(name, listener));
  }

  off<Name extends keyof Events & string>(name: Name, listener: ListenerOf<Events, Name>): void {
    const guard = this.#guards.get(name)?.get(listener);
    if (guard !== undefined) this.#emitter.off(name, guard);
  }

  /** Calls the listeners in the order in which they were added, those of the event's family last, before it returns. */
  emit<Name extends keyof Events & string>(name: Name, event: Events[Name]): void {
    this.#emitter.emit(name, event);
    const familyLength = name.indexOf(":") + 1;
    if (familyLength > 0) this.#emitter.emit(`${name.slice(0, familyLength)}*`, event, name);
  }

  /** Of one event, without those of its family; or of all. */
  listenerCount(name?: keyof Events & string): number {
    if (name !== undefined) return this.#emitter.listenerCount(name);
    return this.#emitter.eventNames().reduce((sum, each) => sum + this.#emitter.listenerCount(each), 0);
  }

  removeAllListeners(): void {
    this.#emitter.removeAllListeners();
  }

  // deno-lint-ignore no-explicit-any -- any listener: what it is called with was checked by the methods above
  #guard(name: string, listener: (...args: any[]) => void): Guard {
    let ofName = this.#guards.get(name);
    if (ofName === undefined) this.#guards.set(name, ofName = new WeakMap());
    let guard = ofName.get(listener);
    if (guard === undefined) {
      guard = (...args) => {
        try {
          listener(...args);
        } catch (error) {
          this.#report(error, name);
        }
      };
      ofName.set(listener, guard);
    }
    return guard;
  }
}
