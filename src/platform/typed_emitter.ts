import { EventEmitter } from "eventemitter3";

/** A listener of one event. */
export type ListenerOf<Events extends object, Name extends keyof Events> = (event: Events[Name]) => void;

/** A listener of every event; `name` tells which one it is. */
export type AnyListenerOf<Events extends object> = (event: Events[keyof Events], name: keyof Events) => void;

/** Where listeners of every event are kept; no event of ours has this name. */
const ANY = "*";

type Guard = (...args: unknown[]) => void;

/**
 * eventemitter3 with types (`Events` maps names to payloads), with listeners of every event, and with one rule added: a
 * listener that throws harms nobody else. Its error goes to `report`, the remaining listeners are called, and `emit`
 * returns. (eventemitter3 alone would let the error out of `emit`, into the middle of a change of state.)
 */
export class TypedEmitter<Events extends object> {
  readonly #emitter = new EventEmitter();
  readonly #report: (error: unknown, name: string) => void;
  /** The guarded form of each listener, by event name, so that `off` finds what `on` added. */
  readonly #guards = new Map<string, WeakMap<object, Guard>>();

  constructor(report: (error: unknown, name: string) => void) {
    this.#report = report;
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
    this.#remove(name, listener);
  }

  /** Called after the listeners of the event's own name. */
  onAny(listener: AnyListenerOf<Events>): void {
    this.#emitter.on(ANY, this.#guard(ANY, listener));
  }

  onceAny(listener: AnyListenerOf<Events>): void {
    this.#emitter.once(ANY, this.#guard(ANY, listener));
  }

  offAny(listener: AnyListenerOf<Events>): void {
    this.#remove(ANY, listener);
  }

  /** Calls the listeners one after the other, in the order of their adding, before it returns. */
  emit<Name extends keyof Events & string>(name: Name, event: Events[Name]): void {
    this.#emitter.emit(name, event);
    this.#emitter.emit(ANY, event, name);
  }

  /** Of one event (without the listeners of every event), or of all together. */
  listenerCount(name?: keyof Events & string): number {
    if (name !== undefined) return this.#emitter.listenerCount(name);
    return this.#emitter.eventNames().reduce((sum, each) => sum + this.#emitter.listenerCount(each), 0);
  }

  removeAllListeners(): void {
    this.#emitter.removeAllListeners();
  }

  #remove(name: string, listener: object): void {
    const guard = this.#guards.get(name)?.get(listener);
    if (guard !== undefined) this.#emitter.off(name, guard);
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
