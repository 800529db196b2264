/**
 * The hand-over of names. Every signal of every container, from the stream or from reconciling, passes through here
 * before its container's exit classifier sees it. A container that takes a name waits until the previous owner of that
 * name has been published as removed, or has been renamed. Meanwhile its signals are kept, in order.
 *
 * The engine gives a name to one container at a time. So the previous owner has lost it: the signal that says so is
 * on its way through that owner's classifier, or reconciling will find it. The exception is a signal that is older than
 * what a list has shown. A comparison detects this, because the owner still has its name: then the other container waits
 * no longer. No wait is endless.
 */
import type { ContainerEntry } from "../container_registry.ts";
import type { Signal } from "./engine_dialect.ts";

/** Signals of one container that wait; one more, and the container does not wait any longer. */
const MAX_WAITING = 256;

/** The name of a container whose removal is on its way. */
const NO_NAME = "";

export interface NameHandoverOptions {
  /** Carries out a signal, and all that follows from it at once. */
  readonly pass: (entry: ContainerEntry, signal: Signal) => void;
  /** Called when a container has passed on signals that waited. */
  readonly onPassed: () => void;
  /** A name is taken whose owner is not known to have given it up: only the engine can tell. */
  readonly onContested: () => void;
}

/** A name that is taken though its owner is not known to have given it up. */
export interface Claim {
  readonly name: string;
  readonly owner: ContainerEntry;
}

export class NameHandover {
  readonly #options: NameHandoverOptions;
  /** A container's names, oldest first: each but the last one ends with a signal that is on its way. */
  readonly #names = new Map<ContainerEntry, string[]>();
  readonly #owners = new Map<string, ContainerEntry[]>();
  /** The containers that wait for a name, or that one of their kept signals gives it to, in the order of these signals. */
  readonly #queues = new Map<string, ContainerEntry[]>();
  /** Names whose owners or queues have changed: they may be handed on. */
  readonly #changed = new Set<string>();
  #isHandingOn = false;

  constructor(options: NameHandoverOptions) {
    this.#options = options;
  }

  /** Whether a signal may be carried out now; else it is kept in `entry.waiting`, and passed on later. */
  admits(entry: ContainerEntry, signal: Signal): boolean {
    // A list may have shown the container before its creation was reported: those that wait had the name earlier.
    if (signal.kind === "create") this.#disown(entry, nameIn(signal, entry));
    if (entry.waiting.length === 0 && !this.#hasToWait(entry, signal)) {
      this.#grant(entry, signal);
      return true;
    }
    const previous = entry.waiting.at(-1);
    entry.waiting.push(signal);
    if (isClaim(entry, signal, previous)) this.#queueUp(entry, nameIn(signal, entry));
    if (entry.waiting.length > MAX_WAITING) this.#passOn(entry, { atLeast: 1 });
    this.#handOn();
    return false;
  }

  /** Signals of the container have been carried out: names that it has given up by that are handed on. */
  carriedOut(entry: ContainerEntry): void {
    const names = this.#names.get(entry);
    if (names === undefined) return;
    const isGone = entry.state === "removed";
    while (names.length > 0 && (isGone || names[0] !== entry.name)) this.#disown(entry, names[0]!);
    if (isGone) this.#names.delete(entry);
    else if (names.length === 0) this.#own(entry, entry.name);
    this.#handOn();
  }

  /** The container has had its name since before anything was heard. */
  enter(entry: ContainerEntry): void {
    if (entry.state !== "removed" && !entry.isUntold) this.#own(entry, entry.name);
  }

  /** The containers are known from an earlier run; those that waited then wait again. */
  restored(entries: readonly ContainerEntry[]): void {
    const claims = entries.flatMap((entry) =>
      entry.waiting
        .filter((signal, index) => isClaim(entry, signal, entry.waiting[index - 1]))
        .map((signal) => ({ entry, signal }))
    ).sort((a, b) => a.signal.timeNano - b.signal.timeNano);
    for (const { entry, signal } of claims) this.#queueUp(entry, nameIn(signal, entry));
    this.#handOn();
  }

  /** Names that containers wait for although only the engine can tell whether their owners have lost them. */
  claims(): Claim[] {
    return [...this.#queues.keys()].flatMap((name) => {
      const owners = this.#ownersOf(name).filter((owner) => !this.#isLeaving(owner, name));
      return owners.map((owner) => ({ name, owner }));
    });
  }

  /** These owners have been compared with the engine. Those that kept their names got them after the containers that wait. */
  decide(claims: readonly Claim[]): void {
    const kept = claims.filter(({ name, owner }) =>
      this.#queues.has(name) && !this.#isLeaving(owner, name) && !owner.hasWaiting
    );
    for (const { name, owner } of kept) this.#disown(owner, name);
    this.#handOn();
    for (const { name, owner } of kept) if (owner.name === name) this.enter(owner);
  }

  /** Forgets everything. */
  clear(): void {
    for (const map of [this.#names, this.#owners, this.#queues]) map.clear();
    this.#changed.clear();
  }

  #hasToWait(entry: ContainerEntry, signal: Signal): boolean {
    const name = nameIn(signal, entry);
    const last = this.#names.get(entry)?.at(-1);
    if (last === name || last === NO_NAME || name === "") return false;
    if (entry.state === "removed" || signal.silent === true) return false;
    const { owners, earlier } = this.#ahead(entry, name);
    if (owners.length === 0 && earlier.length === 0) return false;
    // Two that swapped their names must not wait for each other.
    return !this.#waitsFor(entry, name, entry);
  }

  /** What a container that takes that name waits for: the name's owners, and the containers that took it earlier. */
  #ahead(entry: ContainerEntry, name: string): { owners: ContainerEntry[]; earlier: ContainerEntry[] } {
    const queue = this.#queues.get(name) ?? [];
    const place = queue.indexOf(entry);
    return {
      owners: this.#ownersOf(name).filter((owner) => owner !== entry),
      earlier: place < 0 ? queue : queue.slice(0, place),
    };
  }

  /** Whether a container that takes that name waits for the other one. */
  #waitsFor(entry: ContainerEntry, name: string, other: ContainerEntry, seen = new Set([entry])): boolean {
    const { owners, earlier } = this.#ahead(entry, name);
    // An owner whose next name was passed on waits for nothing before it loses this one.
    const waiting = owners.filter((owner) => this.#names.get(owner)?.at(-1) === name);
    return [...waiting, ...earlier].some((each) => {
      const [first] = each.waiting;
      if (each === other) return true;
      if (first === undefined || seen.has(each)) return false;
      return this.#waitsFor(each, nameIn(first, each), other, seen.add(each));
    });
  }

  /** A signal by which the owner loses the name is on its way. */
  #isLeaving(owner: ContainerEntry, name: string): boolean {
    return owner.waiting.length > 0 || this.#names.get(owner)?.at(-1) !== name;
  }

  #handOn(): void {
    if (this.#isHandingOn) return; // the call that is under way does it
    this.#isHandingOn = true;
    try {
      for (const name of this.#changed) {
        this.#changed.delete(name);
        const next = this.#queues.get(name)?.[0];
        if (next === undefined) continue;
        this.#passOn(next);
        if (this.claims().some((claim) => claim.name === name)) this.#options.onContested();
      }
    } finally {
      this.#isHandingOn = false;
    }
  }

  /** Passes on kept signals: `atLeast` this many, and then as long as none has to wait. */
  #passOn(entry: ContainerEntry, { atLeast = 0 } = {}): void {
    let passed = 0;
    for (let next = entry.waiting[0]; next !== undefined; next = entry.waiting[0]) {
      if (passed >= atLeast && this.#hasToWait(entry, next)) break;
      if (this.#names.get(entry)?.at(-1) !== nameIn(next, entry)) {
        this.#leaveQueue(entry, nameIn(next, entry));
      }
      entry.waiting.shift();
      this.#grant(entry, next);
      this.#options.pass(entry, next);
      passed++;
    }
    if (passed > 0) this.#options.onPassed();
  }

  #grant(entry: ContainerEntry, signal: Signal): void {
    const name = nameIn(signal, entry);
    if (entry.state === "removed" || this.#names.get(entry)?.at(-1) === NO_NAME || name === "") return;
    this.#own(entry, name);
    if (signal.kind === "remove") this.#own(entry, NO_NAME);
  }

  #ownersOf(name: string): readonly ContainerEntry[] {
    return this.#owners.get(name) ?? [];
  }

  #own(entry: ContainerEntry, name: string): void {
    const names = this.#names.get(entry) ?? [];
    if (names.at(-1) === name) return;
    this.#names.set(entry, [...names, name]);
    if (name !== NO_NAME) this.#owners.set(name, [...this.#ownersOf(name), entry]);
  }

  #disown(entry: ContainerEntry, name: string): void {
    const names = this.#names.get(entry);
    if (names === undefined || !names.includes(name)) return;
    names.splice(names.indexOf(name), 1);
    setOrDelete(this.#owners, name, without(this.#ownersOf(name), entry));
    this.#changed.add(name);
  }

  #queueUp(entry: ContainerEntry, name: string): void {
    this.#queues.set(name, [...this.#queues.get(name) ?? [], entry]);
    this.#changed.add(name);
  }

  #leaveQueue(entry: ContainerEntry, name: string): void {
    setOrDelete(this.#queues, name, without(this.#queues.get(name) ?? [], entry));
    this.#changed.add(name);
  }
}

/** An engine may leave the name out. */
function nameIn(signal: Signal, entry: ContainerEntry): string {
  return signal.name === "" ? entry.name : signal.name;
}

/** Among the signals that wait, one that says another name than the one before it. */
function isClaim(entry: ContainerEntry, signal: Signal, previous: Signal | undefined): boolean {
  return previous === undefined || nameIn(previous, entry) !== nameIn(signal, entry);
}

/** Without one occurrence of the entry. */
function without(entries: readonly ContainerEntry[], entry: ContainerEntry): ContainerEntry[] {
  const index = entries.indexOf(entry);
  return index < 0 ? [...entries] : entries.toSpliced(index, 1);
}

function setOrDelete(map: Map<string, ContainerEntry[]>, name: string, entries: ContainerEntry[]): void {
  if (entries.length > 0) map.set(name, entries);
  else map.delete(name);
}
