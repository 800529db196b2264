/**
 * From a container's signals to its exits: each end of its process gives one verdict, `stopped` (somebody asked the
 * engine to stop it) or `died`. A state machine without I/O and without a clock: signals, the answer to an inspect it
 * asked for, and the passing of a deadline it asked for go in; steps come out, to be done at once and in their order.
 *
 * The engine says `die` for both kinds of end. Docker says `stop` after it, Podman before. So:
 * - a `stop` since the last start → stopped, at once;
 * - Docker, and a kill since the last start that may be part of a stop (the first signal that apex did not send itself is
 *   not 9, is not known, or the container's stop signal is 9) → the verdict is held until `stop` (stopped), a signal of
 *   another run (died), or the deadline (died). A removal does not end the hold: an auto-removed container's `destroy` may
 *   come before its `stop`;
 * - else died, at once.
 *
 * While an inspect is under way, or a verdict is held, what follows for this container waits behind it in order. That is
 * why health goes through here too: what its checks said has to be asked for. (One file though long: every transition
 * reads or writes the same few pieces of state.)
 */
import { definedFields } from "../../platform/defined_fields.ts";
import { SIGKILL, signalName } from "../../platform/signals.ts";
import type { DieSignal, HealthSignal, KillSignal, Signal } from "./engine_dialect.ts";
import type { Exit, InspectAnswer, InspectStep, RunFacts, Step } from "./exit_steps.ts";
import type { HealthDetails } from "./health_details.ts";

/** Longest wait for the `stop` of a stop: it came 540 ms after `die` at most, under load. */
export const HOLD_MS = 2_000;

/** Once the container is gone too, `stop` came 19 ms later at most. */
export const HOLD_AFTER_REMOVE_MS = 1_000;

/** So many signals wait behind a verdict; one more, and the verdict falls with what is known. */
const MAX_WAITING = 256;

/** Signals that end a process without anybody having asked the engine: ILL TRAP ABRT BUS FPE KILL SEGV SYS. */
const SPONTANEOUS: ReadonlySet<number> = new Set([4, 5, 6, 7, 8, SIGKILL, 11, 31]);

/** What cannot come before the end of a stop: a held verdict is not waiting for a `stop` any more. */
const ENDS_HOLD: ReadonlySet<Signal["kind"]> = new Set([
  "create",
  "start",
  "die",
  "restart",
  "pause",
  "unpause",
]);

/** Where a classifier stands, as plain JSON; made to go on from it in another life. */
export interface ClassifierSnapshot {
  readonly stopSignal?: number;
  readonly run?: Omit<Run, "kills"> & { readonly kills: readonly number[] };
  readonly asking?: "stop-signal" | DieSignal | HealthSignal;
  readonly held?: Exit;
  readonly inbox?: readonly Signal[];
  readonly behind?: readonly Signal[];
}

/** What was seen since the last start. */
interface Run {
  /** Of those that apex did not send itself: they alone may be part of a stop. */
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
  /** An inspect is under way: for the container's stop signal, or for the facts of this exit or health. */
  #asking: "stop-signal" | DieSignal | HealthSignal | undefined;
  /** Number of the last inspect that was asked for. */
  #question = 0;
  /** Died, unless a `stop` comes. */
  #held: Exit | undefined;
  /** Not looked at yet, in order; more than one only while an inspect is under way. */
  readonly #inbox: Signal[] = [];
  /** Came while the verdict was held, in order. */
  readonly #behind: Signal[] = [];

  /** @param options.snapshot to go on from; {@linkcode ExitClassifier.resume} then says what is to be done */
  constructor({ stopFollowsDie, snapshot = {} }: { stopFollowsDie: boolean; snapshot?: ClassifierSnapshot }) {
    this.#stopFollowsDie = stopFollowsDie;
    const { stopSignal, run, asking, held, inbox = [], behind = [] } = snapshot;
    this.#stopSignal = stopSignal;
    if (run !== undefined) this.#run = { ...run, kills: new Set(run.kills) };
    this.#asking = typeof asking === "object" ? revived(asking) : asking;
    this.#held = held;
    this.#inbox.push(...inbox.map(revived));
    this.#behind.push(...behind.map(revived));
  }

  /** Undefined when it stands where a new one does. */
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

  /** What a snapshot was waiting for when it was made. */
  resume(): Step[] {
    if (this.#asking !== undefined) {
      const asking = this.#asking;
      if (typeof asking !== "object" || asking.kind === "die") return [this.#inspectStep(asking)];
      return [{ do: "describe", signal: asking }];
    }
    const steps: Step[] = this.#held === undefined ? [] : [{ do: "arm", ms: HOLD_MS }];
    this.#drain(steps);
    return steps;
  }

  /** An exit is known whose verdict is not. */
  get settling(): boolean {
    return this.#held !== undefined || (typeof this.#asking === "object" && this.#asking.kind === "die");
  }

  /** An inspect is under way, and signals may wait behind it. */
  get asking(): boolean {
    return this.#asking !== undefined;
  }

  /** The container's stop signal, learned on another occasion. It never changes. */
  learnStopSignal(number: number): void {
    this.#stopSignal = number;
  }

  /** Something happened to the container. */
  signal(signal: Signal): Step[] {
    const steps: Step[] = [];
    this.#inbox.push(signal);
    if (this.#inbox.length > MAX_WAITING) this.#giveUpAsking(steps);
    this.#drain(steps);
    return steps;
  }

  /** Nobody has answered that `inspect` step, and the answer still matters. */
  asks(question: number): boolean {
    return question === this.#question && this.#asking !== undefined;
  }

  /** The answer to an `inspect` step. One that comes when its question was given up says nothing any more. */
  inspected(question: number, answer: InspectAnswer): Step[] {
    const steps: Step[] = [];
    if (!this.asks(question)) return steps;
    this.#answer(answer, steps);
    this.#drain(steps);
    return steps;
  }

  /** The answer to a `describe` step. One that comes when its question was given up says nothing any more. */
  described(signal: HealthSignal, details?: HealthDetails): Step[] {
    const steps: Step[] = [];
    if (this.#asking !== signal) return steps;
    this.#asking = undefined;
    steps.push({ do: "apply", signal: { ...signal, ...(details !== undefined && { details }) } });
    this.#drain(steps);
    return steps;
  }

  /** The time of an `arm` step has passed. */
  deadline(): Step[] {
    const steps: Step[] = [];
    this.#settle("died", steps);
    this.#drain(steps);
    return steps;
  }

  #inspectStep(asking: "stop-signal" | DieSignal): InspectStep {
    const outlivesCut = asking !== "stop-signal" && isCodeUnclear(asking);
    return { do: "inspect", question: ++this.#question, outlivesCut };
  }

  #drain(steps: Step[]): void {
    while (this.#asking === undefined) {
      const signal = this.#inbox.shift();
      if (signal === undefined) return;
      if (this.#held === undefined) {
        this.#take(signal, steps);
      } else {
        this.#takeHeld(signal, steps);
      }
    }
  }

  #takeHeld(signal: Signal, steps: Step[]): void {
    if (signal.kind === "remove") steps.push({ do: "arm", ms: HOLD_AFTER_REMOVE_MS });
    this.#behind.push(signal);
    if (signal.kind === "stop") this.#settle("stopped", steps);
    else if (ENDS_HOLD.has(signal.kind) || this.#behind.length > MAX_WAITING) this.#settle("died", steps);
  }

  #take(signal: Signal, steps: Step[]): void {
    switch (signal.kind) {
      case "die":
        return this.#takeDie(signal, steps);
      case "kill":
        return this.#takeKill(signal, steps);
      case "health":
        if (signal.details !== undefined || signal.silent === true) break;
        this.#asking = signal;
        steps.push({ do: "describe", signal });
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
    steps.push({ do: "apply", signal });
  }

  #takeKill(signal: KillSignal, steps: Step[]): void {
    steps.push({ do: "apply", signal });
    const run = this.#run;
    if (run.ended) return;
    if (signal.signal === undefined) run.unknownKill = true;
    else run.kills.add(signal.signal);
    if (signal.isOwn === true) return;
    const isFirst = run.firstKill === undefined;
    run.firstKill ??= signal.signal ?? "unknown";
    if (!isFirst || run.firstKill !== SIGKILL || !this.#stopFollowsDie || this.#stopSignal !== undefined) {
      return;
    }
    // Of the time before the baseline: it must not delay what makes the registry as the list is.
    if (signal.silent === true) {
      run.firstKill = "unknown";
    } else {
      // Asked now rather than at `die`, so that a killed container's `die` need not wait, and may be gone.
      this.#asking = "stop-signal";
      steps.push(this.#inspectStep(this.#asking));
    }
  }

  #takeDie(die: DieSignal, steps: Step[]): void {
    const oomUnclear = this.#run.oomSeen && die.oomKilled === undefined;
    if ((isCodeUnclear(die) || oomUnclear) && die.silent !== true) {
      this.#asking = die;
      steps.push(this.#inspectStep(die));
    } else {
      this.#conclude(die, undefined, steps);
    }
  }

  #giveUpAsking(steps: Step[]): void {
    const asking = this.#asking;
    this.#question++;
    if (typeof asking !== "object" || asking.kind !== "health") return this.#answer("unanswered", steps);
    this.#asking = undefined;
    steps.push({ do: "apply", signal: asking });
  }

  #answer(answer: InspectAnswer, steps: Step[]): void {
    const asking = this.#asking;
    if (asking === undefined || (typeof asking === "object" && asking.kind === "health")) return;
    this.#asking = undefined;
    const facts = typeof answer === "object" ? answer : undefined;
    if (facts !== undefined) this.#stopSignal = facts.stopSignal;
    if (asking !== "stop-signal") {
      this.#conclude(asking, isOfRun(facts, asking) ? facts : undefined, steps);
    } else if (answer === "unanswered") {
      // The container is there and its stop signal is not known: rather a late verdict than a wrong one.
      this.#run.firstKill = "unknown";
    }
  }

  /** `facts` are of the run that this `die` ended. */
  #conclude(die: DieSignal, facts: RunFacts | undefined, steps: Step[]): void {
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
    // The verdict on a silent exit is told to nobody: it must not hold back what follows.
    if (!stopSeen && die.silent !== true && this.#mayBeStop(run)) {
      this.#held = exit;
      steps.push({ do: "arm", ms: HOLD_MS });
    } else {
      steps.push({ do: "exit", exit });
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

  #settle(verdict: Exit["verdict"], steps: Step[]): void {
    if (this.#held === undefined) return;
    steps.push({ do: "disarm" }, { do: "exit", exit: { ...this.#held, verdict } });
    this.#held = undefined;
    this.#inbox.unshift(...this.#behind.splice(0));
  }
}

/** A signal out of JSON, where a date is a text. */
export function revived<S extends Signal>(signal: S): S {
  if (signal.kind !== "health" || signal.details?.lastCheckTime === undefined) return signal;
  const lastCheckTime = new Date(signal.details.lastCheckTime);
  return { ...signal, details: { ...signal.details, lastCheckTime } };
}

function isCodeUnclear(die: DieSignal): boolean {
  return die.exitCode === undefined || die.isCodeDoubtful === true;
}

function newRun(): Run {
  return { kills: new Set(), unknownKill: false, stopSeen: false, oomSeen: false, ended: false };
}

/** A program may exit with 129 to 159 of its own accord; a signal is named only where there is reason to. */
function signalOf(exitCode: number | undefined, run: Run): string | undefined {
  if (exitCode === undefined || exitCode <= 128) return undefined;
  const number = exitCode - 128;
  const plausible = run.unknownKill || run.kills.has(number) || SPONTANEOUS.has(number);
  return plausible ? signalName(number) : undefined;
}

/** The container may run again by the time of the inspect: then the facts are of a later run. */
function isOfRun(facts: RunFacts | undefined, die: DieSignal): boolean {
  if (facts === undefined || !facts.ended) return false;
  return facts.startedAtNano === undefined || facts.startedAtNano <= die.timeNano;
}
