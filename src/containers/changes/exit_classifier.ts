/**
 * From a container's changes to its exits: each end of its process gets one verdict, `stopped` (a client asked the engine
 * to stop the container) or `died`. The classifier is a state machine without I/O and without a clock. In go changes, the
 * answers to the inspects that it asked for, and the passing of the deadline that it asked for. Out come effects, which
 * its lifecycle carries out at once and in order.
 *
 * An engine reports `die` for both kinds of end. Docker 20.10 reports `stop` after it, Docker 28 and Podman before it
 * (docs/engines.md, "Order of events"). So:
 * 1. A `stop` since the last start: stopped, at once.
 * 2. Else, on Docker, if a kill since the last start may be part of a stop: the verdict is held. A kill may be part of a
 *    stop if it is the first one that apex did not send itself, and its signal is unknown, or not 9, or 9 is the
 *    container's stop signal. A `stop` ends the hold (stopped), and so does a change that cannot come before it, or the
 *    deadline (died). A removal does not: the `destroy` of an auto-removed container may come before its `stop`.
 * 3. Else: died, at once.
 *
 * While an inspect is under way, or a verdict is held, the container's later changes wait in order. Health changes go
 * through here for this reason: what led to them takes an inspect. (This file is long because every transition reads or
 * writes the same few fields.)
 */
import { definedFields } from "../../platform/defined_fields.ts";
import { SIGKILL, signalName } from "../../platform/signals.ts";
import {
  type ContainerChange,
  type DieChange,
  type Exit,
  type HealthChange,
  type HealthDetails,
  type KillChange,
  reviveChange,
} from "./container_change.ts";
import type { RunFacts } from "./inspect_facts.ts";

/** Longest wait for the `stop` of a stop: under load it came up to 540 ms after `die`. */
export const HOLD_MS = 2_000;

/** The same, once the container is removed: `stop` came up to 19 ms after that. */
const HOLD_AFTER_REMOVE_MS = 1_000;

/** Changes that may wait behind an inspect or a held verdict. One more, and the verdict is given with what is known. */
const MAX_WAITING = 256;

/** Signals that end a process although no client asked for that: ILL TRAP ABRT BUS FPE KILL SEGV SYS. */
const SPONTANEOUS: ReadonlySet<number> = new Set([4, 5, 6, 7, 8, SIGKILL, 11, 31]);

/** Changes that cannot precede the `stop` of a stop: after one of them, a held verdict no longer waits. */
const ENDS_HOLD: ReadonlySet<ContainerChange["kind"]> = new Set([
  "create",
  "start",
  "die",
  "restart",
  "pause",
  "unpause",
]);

/** What a lifecycle does for its classifier, at once and in order. */
export type ExitEffect =
  | { readonly do: "publish"; readonly change: Exclude<ContainerChange, DieChange> }
  | { readonly do: "publish-exit"; readonly exit: Exit }
  /**
   * Inspect the container, and answer with {@linkcode ExitClassifier.inspected}. `question` numbers the inspects of a
   * container. With `needsCode` the exit code depends on the answer: ask until the engine can give it.
   */
  | { readonly do: "inspect"; readonly question: number; readonly needsCode: boolean }
  /**
   * Find out what led to this health status, and answer with {@linkcode ExitClassifier.described}; at once if the status
   * is not new. Always the last effect.
   */
  | { readonly do: "describe"; readonly change: HealthChange }
  /** Call {@linkcode ExitClassifier.deadline} after `ms`. Replaces an earlier deadline. */
  | { readonly do: "arm"; readonly ms: number }
  | { readonly do: "disarm" };

/** The state of a classifier as plain JSON, from which another one resumes. */
export interface ClassifierSnapshot {
  readonly stopSignal?: number;
  readonly run?: Omit<Run, "kills"> & { readonly kills: readonly number[] };
  readonly asking?: "stop-signal" | DieChange | HealthChange;
  readonly held?: Exit;
  readonly inbox?: readonly ContainerChange[];
  readonly behind?: readonly ContainerChange[];
}

/** What was seen since the last start. */
interface Run {
  /** The first kill that apex did not send itself: only that one may be part of a stop. */
  firstKill?: number | "unknown";
  readonly kills: Set<number>;
  unknownKill: boolean;
  stopSeen: boolean;
  oomSeen: boolean;
  ended: boolean;
}

export class ExitClassifier {
  readonly #stopFollowsDie: boolean;
  #stopSignal: number | undefined;
  #run = newRun();
  /** An inspect is under way: for the container's stop signal, or for the facts of this exit or health change. */
  #asking: "stop-signal" | DieChange | HealthChange | undefined;
  /** Number of the last inspect that was asked for. */
  #question = 0;
  /** The held verdict: died, unless a `stop` comes. */
  #held: Exit | undefined;
  /** Changes not yet processed, in order; more than one only while an inspect is under way. */
  readonly #inbox: ContainerChange[] = [];
  /** Changes that came while the verdict was held, in order. */
  readonly #behind: ContainerChange[] = [];
  /** Collected during a call, which returns them. */
  readonly #effects: ExitEffect[] = [];

  /** @param options.snapshot to resume from; {@linkcode ExitClassifier.resume} then returns what is to be done */
  constructor({ stopFollowsDie, snapshot = {} }: { stopFollowsDie: boolean; snapshot?: ClassifierSnapshot }) {
    this.#stopFollowsDie = stopFollowsDie;
    const { stopSignal, run, asking, held, inbox = [], behind = [] } = snapshot;
    this.#stopSignal = stopSignal;
    if (run !== undefined) this.#run = { ...run, kills: new Set(run.kills) };
    this.#asking = typeof asking === "object" ? reviveChange(asking) : asking;
    this.#held = held;
    this.#inbox.push(...inbox.map(reviveChange));
    this.#behind.push(...behind.map(reviveChange));
  }

  /** Undefined when the state is that of a new classifier. */
  toSnapshot(): ClassifierSnapshot | undefined {
    const run = this.#run;
    const hasSeen = run.firstKill !== undefined || run.kills.size > 0 || run.stopSeen || run.oomSeen ||
      run.ended;
    const snapshot = definedFields({
      stopSignal: this.#stopSignal,
      run: hasSeen ? { ...run, kills: [...run.kills] } : undefined,
      asking: this.#asking,
      held: this.#held,
      inbox: this.#inbox.length > 0 ? [...this.#inbox] : undefined,
      behind: this.#behind.length > 0 ? [...this.#behind] : undefined,
    });
    return Object.keys(snapshot).length > 0 ? snapshot : undefined;
  }

  /** The effects that a snapshot was waiting for when it was made. */
  resume(): ExitEffect[] {
    const asking = this.#asking;
    if (asking !== undefined) {
      if (typeof asking !== "object" || asking.kind === "die") this.#inspect(asking);
      else this.#effects.push({ do: "describe", change: asking });
    } else if (this.#held !== undefined) {
      this.#effects.push({ do: "arm", ms: HOLD_MS });
    }
    return this.#drain();
  }

  /** An exit is known, and its verdict is not. */
  get isSettling(): boolean {
    return this.#held !== undefined || (typeof this.#asking === "object" && this.#asking.kind === "die");
  }

  /** An inspect is under way, and changes may wait behind it. */
  get isAsking(): boolean {
    return this.#asking !== undefined;
  }

  /** The container's stop signal, learned on another occasion. It never changes. */
  learnStopSignal(number: number): void {
    this.#stopSignal = number;
  }

  handle(change: ContainerChange): ExitEffect[] {
    this.#inbox.push(change);
    if (this.#inbox.length > MAX_WAITING) this.#giveUpAsking();
    return this.#drain();
  }

  /** Whether the answer to that `inspect` effect is still needed. */
  needsAnswer(question: number): boolean {
    return question === this.#question && this.#asking !== undefined;
  }

  /**
   * The answer to an `inspect` effect. An answer that is no longer needed is ignored.
   * @param answer `unanswered`: too late, or the engine failed
   */
  inspected(question: number, answer: RunFacts | "removed" | "unanswered"): ExitEffect[] {
    if (!this.needsAnswer(question)) return [];
    this.#answer(answer);
    return this.#drain();
  }

  /** The answer to a `describe` effect. An answer that is no longer needed is ignored. */
  described(change: HealthChange, details?: HealthDetails): ExitEffect[] {
    if (this.#asking !== change) return [];
    this.#asking = undefined;
    this.#effects.push({ do: "publish", change: { ...change, ...(details !== undefined && { details }) } });
    return this.#drain();
  }

  /** The time of an `arm` effect has passed. */
  deadline(): ExitEffect[] {
    this.#settle("died");
    return this.#drain();
  }

  /** Later changes wait until the inspect is answered. */
  #inspect(asking: "stop-signal" | DieChange): void {
    const needsCode = asking !== "stop-signal" && isCodeUnclear(asking);
    this.#asking = asking;
    this.#effects.push({ do: "inspect", question: ++this.#question, needsCode });
  }

  /** Processes changes until one has to wait. Returns all effects since the last call. */
  #drain(): ExitEffect[] {
    while (this.#asking === undefined) {
      const change = this.#inbox.shift();
      if (change === undefined) break;
      if (this.#held === undefined) this.#take(change);
      else this.#takeBehind(change);
    }
    return this.#effects.splice(0);
  }

  #takeBehind(change: ContainerChange): void {
    if (change.kind === "remove") this.#effects.push({ do: "arm", ms: HOLD_AFTER_REMOVE_MS });
    this.#behind.push(change);
    if (change.kind === "stop") this.#settle("stopped");
    else if (ENDS_HOLD.has(change.kind) || this.#behind.length > MAX_WAITING) this.#settle("died");
  }

  #take(change: ContainerChange): void {
    switch (change.kind) {
      case "die":
        return this.#takeDie(change);
      case "kill":
        return this.#takeKill(change);
      case "health":
        if (change.details !== undefined || change.silent === true) break;
        this.#asking = change;
        this.#effects.push({ do: "describe", change });
        return;
      case "create":
      case "start":
        this.#run = newRun();
        break;
      case "stop":
        if (!this.#run.ended) this.#run.stopSeen = true;
        break;
      case "oom":
        if (!this.#run.ended) this.#run.oomSeen = true;
        break;
    }
    this.#effects.push({ do: "publish", change });
  }

  #takeKill(change: KillChange): void {
    this.#effects.push({ do: "publish", change });
    const run = this.#run;
    if (run.ended) return;
    if (change.signal === undefined) run.unknownKill = true;
    else run.kills.add(change.signal);
    if (change.isOwn === true || run.firstKill !== undefined) return;
    run.firstKill = change.signal ?? "unknown";
    if (run.firstKill !== SIGKILL || !this.#stopFollowsDie || this.#stopSignal !== undefined) return;
    if (change.silent === true) {
      // Older than the baseline: an inspect would delay the changes that bring the registry up to the list.
      run.firstKill = "unknown";
    } else {
      // Asked now rather than at `die`: then the `die` of a killed container need not wait, and the container still exists.
      this.#inspect("stop-signal");
    }
  }

  #takeDie(die: DieChange): void {
    const isOomUnclear = this.#run.oomSeen && die.oomKilled === undefined;
    if ((isCodeUnclear(die) || isOomUnclear) && die.silent !== true) {
      this.#inspect(die);
    } else {
      this.#conclude(die, undefined);
    }
  }

  #giveUpAsking(): void {
    const asking = this.#asking;
    this.#question++;
    if (typeof asking !== "object" || asking.kind !== "health") return this.#answer("unanswered");
    this.#asking = undefined;
    this.#effects.push({ do: "publish", change: asking });
  }

  #answer(answer: RunFacts | "removed" | "unanswered"): void {
    const asking = this.#asking;
    if (asking === undefined || (typeof asking === "object" && asking.kind === "health")) return;
    this.#asking = undefined;
    const facts = typeof answer === "object" ? answer : undefined;
    if (facts !== undefined) this.#stopSignal = facts.stopSignal;
    if (asking !== "stop-signal") {
      this.#conclude(asking, isOfRun(facts, asking) ? facts : undefined);
    } else if (answer === "unanswered") {
      // The container exists, and its stop signal is not known: a late verdict is better than a wrong one.
      this.#run.firstKill = "unknown";
    }
  }

  /** @param facts of the run that this `die` ended */
  #conclude(die: DieChange, facts: RunFacts | undefined): void {
    const run = this.#run;
    const [first, second] = die.isCodeDoubtful === true ? [facts, die] : [die, facts];
    const exitCode = first?.exitCode ?? second?.exitCode;
    const oomKilled = die.oomKilled ?? facts?.oomKilled ?? (run.oomSeen && exitCode === 128 + SIGKILL);
    const signal = signalOf(exitCode, run);
    const error = die.error ?? facts?.error;
    const stopSeen = run.stopSeen || this.#isStopWaiting();
    const exit: Exit = {
      verdict: stopSeen ? "stopped" : "died",
      die,
      ...(exitCode !== undefined && { exitCode }),
      ...(signal !== undefined && { signal }),
      oomKilled,
      graceful: exitCode !== undefined ? exitCode !== 128 + SIGKILL : !run.kills.has(SIGKILL),
      ...(error !== undefined && { error }),
    };
    // The verdict on a silent exit is not published: it must not delay what follows.
    if (!stopSeen && die.silent !== true && this.#mayBeStop(run)) {
      this.#held = exit;
      this.#effects.push({ do: "arm", ms: HOLD_MS });
    } else {
      this.#effects.push({ do: "publish-exit", exit });
    }
    this.#run = { ...newRun(), ended: true };
  }

  #mayBeStop(run: Run): boolean {
    if (!this.#stopFollowsDie || run.firstKill === undefined) return false;
    return run.firstKill !== SIGKILL || this.#stopSignal === SIGKILL;
  }

  /** A `stop` of this run came while an inspect was under way. */
  #isStopWaiting(): boolean {
    for (const { kind } of this.#inbox) {
      if (kind === "stop") return true;
      if (ENDS_HOLD.has(kind)) return false;
    }
    return false;
  }

  #settle(verdict: Exit["verdict"]): void {
    if (this.#held === undefined) return;
    this.#effects.push({ do: "disarm" }, { do: "publish-exit", exit: { ...this.#held, verdict } });
    this.#held = undefined;
    this.#inbox.unshift(...this.#behind.splice(0));
  }
}

function isCodeUnclear(die: DieChange): boolean {
  return die.exitCode === undefined || die.isCodeDoubtful === true;
}

function newRun(): Run {
  return { kills: new Set(), unknownKill: false, stopSeen: false, oomSeen: false, ended: false };
}

/** A program may itself exit with 129 to 159, so a signal is named only when there is a reason to. */
function signalOf(exitCode: number | undefined, run: Run): string | undefined {
  if (exitCode === undefined || exitCode <= 128) return undefined;
  const number = exitCode - 128;
  const isPlausible = run.unknownKill || run.kills.has(number) || SPONTANEOUS.has(number);
  return isPlausible ? signalName(number) : undefined;
}

/** The container may run again by the time of the inspect: then the facts are of a later run. */
function isOfRun(facts: RunFacts | undefined, die: DieChange): boolean {
  if (facts === undefined || !facts.ended) return false;
  return facts.startedAtNano === undefined || facts.startedAtNano <= die.timeNano;
}
