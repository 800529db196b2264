import type { ContainerEvents } from "./changes/container_events.ts";

/** A layer that emits one kind of container event. */
export interface ContainerEventSource<Name extends keyof ContainerEvents> {
  on(name: Name, listener: (event: ContainerEvents[Name]) => void): unknown;
  off(name: Name, listener: (event: ContainerEvents[Name]) => void): unknown;
}

/** The listeners that one layer holds on the layer below; disposing removes exactly these. */
export class ForwardingSet implements Disposable {
  readonly #undo: (() => void)[] = [];

  /** Passes each `name` of `source` on to `deliver`, synchronously. */
  add<Name extends keyof ContainerEvents>(
    source: ContainerEventSource<Name>,
    name: Name,
    deliver: (event: ContainerEvents[Name]) => void,
  ): void {
    source.on(name, deliver);
    this.#undo.push(() => source.off(name, deliver));
  }

  /** May be called again. */
  [Symbol.dispose](): void {
    for (const undo of this.#undo.splice(0)) undo();
  }
}
