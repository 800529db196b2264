/**
 * The handover of names, and the one door for changes: every change of every container, from the stream or from
 * reconciling, is submitted here. A container that takes a name waits until the previous owner of that name has been
 * published as removed, or has been renamed. Until then its changes are kept in its lifecycle, in order.
 *
 * An engine gives a name to one container at a time, so the previous owner has lost it: the change that says so is
 * delayed by that owner's lifecycle, or reconciling will find it. The exception is a change that is older than what a
 * list has shown. A comparison detects this, because the owner still has its name; then the other container waits no
 * longer. So every wait ends.
 */
import type { ContainerChange } from "./container_change.ts";
import type { ContainerLifecycle } from "./container_lifecycle.ts";

/** Changes of one container that may wait. One more, and the container does not wait any longer. */
const MAX_WAITING = 256;

/** The name of a container whose removal is on its way. */
const NO_NAME = "";

export interface NameHandoverOptions {
  /** Called when a container has taken changes that waited. */
  readonly onResumed: () => void;
  /** A name is taken, and its owner is not known to have given it up: only the engine knows. */
  readonly onContested: () => void;
}

/** A name that is taken although its owner is not known to have given it up. */
export interface Claim {
  readonly name: string;
  readonly owner: ContainerLifecycle;
}

export class NameHandover {
  readonly #options: NameHandoverOptions;
  /** A container's names, oldest first. Each one but the last ends with a change that is on its way. */
  readonly #names = new Map<ContainerLifecycle, string[]>();
  readonly #owners = new Map<string, ContainerLifecycle[]>();
  /** The containers that wait for a name, or that one of their waiting changes gives it to, in the order of these changes. */
  readonly #queues = new Map<string, ContainerLifecycle[]>();
  /** Names whose owners or queues have changed: the next container in the queue may take them. */
  readonly #changed = new Set<string>();
  #isHandingOver = false;

  constructor(options: NameHandoverOptions) {
    this.#options = options;
  }

  /**
   * Has the container take the change, now or when it has its name.
   * @returns whether the container has taken it now
   */
  submit(container: ContainerLifecycle, change: ContainerChange): boolean {
    const { waiting } = container;
    // A list may have shown the container before its creation was reported: those that wait had the name earlier.
    if (change.kind === "create") this.#disown(container, nameIn(change, container));
    if (waiting.length === 0 && !this.#hasToWait(container, change)) {
      this.#grant(container, change);
      return true;
    }
    const previous = waiting.at(-1);
    waiting.push(change);
    if (isClaim(container, change, previous)) this.#queueUp(container, nameIn(change, container));
    if (waiting.length > MAX_WAITING) this.#resume(container, { atLeast: 1 });
    this.#handOver();
    return false;
  }

  /** Changes of the container have been carried out: names that it has given up by them are handed over. */
  carriedOut(container: ContainerLifecycle): void {
    const names = this.#names.get(container);
    if (names === undefined) return;
    const { name, state } = container.entry;
    const isRemoved = state === "removed";
    while (names.length > 0 && (isRemoved || names[0] !== name)) this.#disown(container, names[0]!);
    if (isRemoved) this.#names.delete(container);
    else if (names.length === 0) this.#own(container, name);
    this.#handOver();
  }

  /** The container already had its name when apex first connected to the engine. */
  enter(container: ContainerLifecycle): void {
    const { name, state } = container.entry;
    if (state !== "removed" && !container.isUnpublished) this.#own(container, name);
  }

  /** These containers have entered from their checkpoints. Those that waited then wait again. */
  restored(containers: readonly ContainerLifecycle[]): void {
    const claims = containers.flatMap((container) =>
      container.waiting
        .filter((change, index) => isClaim(container, change, container.waiting[index - 1]))
        .map((change) => ({ container, change }))
    ).sort((a, b) => a.change.timeNano - b.change.timeNano);
    for (const { container, change } of claims) this.#queueUp(container, nameIn(change, container));
    this.#handOver();
  }

  /** The names that containers wait for although only the engine knows whether their owners have lost them. */
  claims(): Claim[] {
    return [...this.#queues.keys()].flatMap((name) => {
      const owners = this.#ownersOf(name).filter((owner) => !this.#isLeaving(owner, name));
      return owners.map((owner) => ({ name, owner }));
    });
  }

  /** These owners have been compared with the engine. Those that kept their names got them after the containers that wait. */
  decide(claims: readonly Claim[]): void {
    const kept = claims.filter(({ name, owner }) =>
      this.#queues.has(name) && !this.#isLeaving(owner, name) && !owner.isDelayed
    );
    for (const { name, owner } of kept) this.#disown(owner, name);
    this.#handOver();
    for (const { name, owner } of kept) if (owner.entry.name === name) this.enter(owner);
  }

  /** Forgets everything. */
  clear(): void {
    for (const map of [this.#names, this.#owners, this.#queues]) map.clear();
    this.#changed.clear();
  }

  #hasToWait(container: ContainerLifecycle, change: ContainerChange): boolean {
    const name = nameIn(change, container);
    const last = this.#lastName(container);
    if (last === name || last === NO_NAME || name === "") return false;
    if (container.entry.state === "removed" || change.silent === true) return false;
    const { owners, earlier } = this.#ahead(container, name);
    if (owners.length === 0 && earlier.length === 0) return false;
    // Two containers that swapped their names must not wait for each other.
    return !this.#waitsFor(container, name, container);
  }

  /** What a container that takes the name waits for: the name's owners, and the containers that took it earlier. */
  #ahead(
    container: ContainerLifecycle,
    name: string,
  ): { owners: ContainerLifecycle[]; earlier: ContainerLifecycle[] } {
    const queue = this.#queues.get(name) ?? [];
    const place = queue.indexOf(container);
    return {
      owners: this.#ownersOf(name).filter((owner) => owner !== container),
      earlier: place < 0 ? queue : queue.slice(0, place),
    };
  }

  /** Whether a container that takes the name waits for the other one, directly or through others. */
  #waitsFor(
    container: ContainerLifecycle,
    name: string,
    other: ContainerLifecycle,
    seen = new Set([container]),
  ): boolean {
    const { owners, earlier } = this.#ahead(container, name);
    // An owner that has already taken the change to its next name waits for nothing before it loses this one.
    const staying = owners.filter((owner) => this.#lastName(owner) === name);
    return [...staying, ...earlier].some((each) => {
      const [first] = each.waiting;
      if (each === other) return true;
      if (first === undefined || seen.has(each)) return false;
      return this.#waitsFor(each, nameIn(first, each), other, seen.add(each));
    });
  }

  /** A change by which the owner loses the name is on its way. */
  #isLeaving(owner: ContainerLifecycle, name: string): boolean {
    return owner.waiting.length > 0 || this.#lastName(owner) !== name;
  }

  #handOver(): void {
    if (this.#isHandingOver) return; // the call that is under way continues with the changed names
    this.#isHandingOver = true;
    try {
      for (const name of this.#changed) {
        this.#changed.delete(name);
        const next = this.#queues.get(name)?.[0];
        if (next === undefined) continue;
        this.#resume(next);
        if (this.claims().some((claim) => claim.name === name)) this.#options.onContested();
      }
    } finally {
      this.#isHandingOver = false;
    }
  }

  /** Has the container take waiting changes: `atLeast` this many, and then as long as none has to wait. */
  #resume(container: ContainerLifecycle, { atLeast = 0 } = {}): void {
    let taken = 0;
    for (let next = container.waiting[0]; next !== undefined; next = container.waiting[0]) {
      if (taken >= atLeast && this.#hasToWait(container, next)) break;
      const name = nameIn(next, container);
      if (this.#lastName(container) !== name) this.#leaveQueue(container, name);
      container.waiting.shift();
      this.#grant(container, next);
      taken++;
    }
    if (taken > 0) this.#options.onResumed();
  }

  /** Gives the container the name that the change says, and has it take the change. */
  #grant(container: ContainerLifecycle, change: ContainerChange): void {
    const name = nameIn(change, container);
    if (container.entry.state !== "removed" && this.#lastName(container) !== NO_NAME && name !== "") {
      this.#own(container, name);
      if (change.kind === "remove") this.#own(container, NO_NAME);
    }
    container.take(change);
  }

  #lastName(container: ContainerLifecycle): string | undefined {
    return this.#names.get(container)?.at(-1);
  }

  #ownersOf(name: string): readonly ContainerLifecycle[] {
    return this.#owners.get(name) ?? [];
  }

  #own(container: ContainerLifecycle, name: string): void {
    if (this.#lastName(container) === name) return;
    this.#names.set(container, [...this.#names.get(container) ?? [], name]);
    if (name !== NO_NAME) this.#owners.set(name, [...this.#ownersOf(name), container]);
  }

  #disown(container: ContainerLifecycle, name: string): void {
    const names = this.#names.get(container);
    if (names === undefined || !names.includes(name)) return;
    names.splice(names.indexOf(name), 1);
    removeOne(this.#owners, name, container);
    this.#changed.add(name);
  }

  #queueUp(container: ContainerLifecycle, name: string): void {
    this.#queues.set(name, [...this.#queues.get(name) ?? [], container]);
    this.#changed.add(name);
  }

  #leaveQueue(container: ContainerLifecycle, name: string): void {
    removeOne(this.#queues, name, container);
    this.#changed.add(name);
  }
}

/** An engine may leave the name out. */
function nameIn(change: ContainerChange, { entry }: ContainerLifecycle): string {
  return change.name === "" ? entry.name : change.name;
}

/** Whether a waiting change says another name than the waiting change before it. */
function isClaim(
  container: ContainerLifecycle,
  change: ContainerChange,
  previous: ContainerChange | undefined,
): boolean {
  return previous === undefined || nameIn(previous, container) !== nameIn(change, container);
}

/** Removes one occurrence of the container, and the list when it is empty. */
function removeOne(
  map: Map<string, ContainerLifecycle[]>,
  name: string,
  container: ContainerLifecycle,
): void {
  const containers = map.get(name) ?? [];
  const index = containers.indexOf(container);
  if (index >= 0) map.set(name, containers.toSpliced(index, 1));
  if (map.get(name)?.length === 0) map.delete(name);
}
