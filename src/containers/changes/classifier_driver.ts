/**
 * Carries out what exit classifiers ask for: hands each signal that the hand-over of names (`name_handover.ts`) admits to
 * its container's classifier, and does the steps that come out, at once and in their order. It owns what takes time in
 * them, the deadlines of held verdicts and the inspects under way, and ends both; whatever they bring goes back into the
 * classifier they were for.
 */
import type { ContainerInspect } from "../../engine/engine_types.ts";
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ContainerEntry } from "../container_registry.ts";
import { runFactsOf } from "../reconcile/container_differences.ts";
import type { HealthSignal, Signal } from "./engine_dialect.ts";
import type { EntryChanges } from "./entry_changes.ts";
import { HOLD_MS } from "./exit_classifier.ts";
import { INSPECT_MS, type InspectAnswer, type InspectStep, type Step } from "./exit_steps.ts";
import { healthDetailsOf } from "./health_details.ts";
import { NameHandover } from "./name_handover.ts";
import { PatientInspects } from "./patient_inspects.ts";

export interface ClassifierDriverOptions {
  readonly changes: EntryChanges;
  /** Called when all that follows at once from a signal or an answer is done. */
  readonly onChanged: (entry: ContainerEntry) => void;
  /** Called when an inspect has been answered and all that follows from it is done. */
  readonly onAnswered: () => void;
  /** Called when only the engine can tell whether a container still has a name that another one takes. */
  readonly onContested: () => void;
  /** Undefined: no such container. Throws when the engine cannot be asked. */
  readonly inspect: (id: string, signal: AbortSignal) => Promise<ContainerInspect | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What an inspect brings. */
type Answer = ContainerInspect | "gone" | "unanswered";

export class ClassifierDriver implements AsyncDisposable {
  readonly names: NameHandover;
  readonly #options: ClassifierDriverOptions;
  readonly #patient: PatientInspects;
  /** Verdicts are held for time in which the engine can be heard. */
  #isHearing = false;
  #isOver = false;
  /** Of held verdicts, by container. */
  readonly #deadlines = new Map<ContainerEntry, { cancel: () => void }>();
  /** Each inspect under way, with what ends it. */
  readonly #inspects = new Map<Promise<void>, AbortController>();

  constructor(options: ClassifierDriverOptions) {
    this.#options = options;
    this.#patient = new PatientInspects(options);
    this.names = new NameHandover({
      pass: (entry, signal) => this.#take(entry, signal),
      onPassed: options.onAnswered,
      onContested: options.onContested,
    });
  }

  /** Something happened to a container. */
  signal(entry: ContainerEntry, signal: Signal): void {
    if (this.#isOver) return;
    if (this.names.admits(entry, signal)) this.#take(entry, signal);
    else this.#options.onChanged(entry); // the engine will not say it again
  }

  /** These are known from an earlier run: what was waited for then is waited for anew. */
  restored(entries: readonly ContainerEntry[]): void {
    for (const entry of entries) this.names.enter(entry);
    for (const entry of entries) this.#run(entry, entry.classifier.resume());
    this.names.restored(entries);
  }

  /** The engine can be heard (again): every deadline begins anew. */
  resume(): void {
    this.#isHearing = true;
    this.#patient.resume();
    for (const entry of [...this.#deadlines.keys()]) this.#arm(entry, HOLD_MS);
  }

  /** The engine cannot be heard: deadlines stand still. */
  pause(): void {
    this.#isHearing = false;
    this.#patient.pause();
    for (const deadline of this.#deadlines.values()) deadline.cancel();
  }

  /** Gives up all that is waited for: the containers are not tracked any more. */
  forget(): void {
    this.names.clear();
    for (const deadline of this.#deadlines.values()) deadline.cancel();
    this.#deadlines.clear();
  }

  /** Ends deadlines and inspects, whatever they would have brought, and takes no signal any more. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.forget();
    for (const abort of this.#inspects.values()) abort.abort();
    await Promise.all([...this.#inspects.keys(), this.#patient[Symbol.asyncDispose]()]);
  }

  #take(entry: ContainerEntry, signal: Signal): void {
    const wasAsking = entry.classifier.asking;
    entry.revision++;
    this.#run(entry, entry.classifier.signal(signal));
    // So many signals wait that the question was given up.
    if (wasAsking && !entry.classifier.asking) this.#options.onAnswered();
  }

  #run(entry: ContainerEntry, steps: readonly Step[]): void {
    for (const step of steps) {
      switch (step.do) {
        case "apply":
          this.#options.changes.apply(entry, step.signal);
          break;
        case "exit":
          this.#options.changes.exit(entry, step.exit);
          break;
        case "inspect":
          this.#inspectFor(entry, step);
          break;
        case "describe":
          this.#describe(entry, step.signal);
          break;
        case "arm":
          this.#arm(entry, step.ms);
          break;
        case "disarm":
          this.#deadlines.get(entry)?.cancel();
          this.#deadlines.delete(entry);
          break;
      }
    }
    // Also without a step: a signal that waits behind a question is remembered, as the engine will not say it again.
    this.#options.onChanged(entry);
    this.names.carriedOut(entry);
  }

  #arm(entry: ContainerEntry, ms: number): void {
    this.#deadlines.get(entry)?.cancel();
    const cancel = this.#isHearing
      ? this.#options.clock.after(ms, () => {
        this.#deadlines.delete(entry);
        entry.revision++;
        this.#run(entry, entry.classifier.deadline());
      })
      : () => {};
    this.#deadlines.set(entry, { cancel });
  }

  /** Podman reports at every probe: only a change is worth a question. */
  #describe(entry: ContainerEntry, signal: HealthSignal): void {
    if (entry.health === signal.status) return this.#run(entry, entry.classifier.described(signal));
    this.#inspect(entry, (answer) => {
      const details = typeof answer === "object" ? healthDetailsOf(answer, signal.status) : undefined;
      return entry.classifier.described(signal, details);
    });
  }

  #inspectFor(entry: ContainerEntry, { question, outlivesCut }: InspectStep): void {
    const take = (answer: Answer): Step[] => entry.classifier.inspected(question, runFacts(answer));
    if (!outlivesCut) return this.#inspect(entry, take);
    this.#patient.ask({
      id: entry.id,
      name: entry.name,
      isOpen: () => !entry.isDiscarded && entry.classifier.asks(question),
      answer: (answer) => this.#answered(entry, () => take(answer)),
    });
  }

  #inspect(entry: ContainerEntry, take: (answer: Answer) => Step[]): void {
    const abort = new AbortController();
    let isAnswered = false;
    const answer = (answer: Answer): void => {
      if (isAnswered) return;
      isAnswered = true;
      cancelDeadline();
      this.#answered(entry, () => take(answer));
    };
    const cancelDeadline = this.#options.clock.after(INSPECT_MS, () => {
      answer("unanswered");
      abort.abort();
    });
    const task = this.#options.inspect(entry.id, abort.signal).then(
      (inspect) => answer(inspect ?? "gone"),
      (error: unknown) => {
        if (!abort.signal.aborted) {
          this.#options.logger.warn(`cannot inspect container ${entry.name}: ${messageOf(error)}`);
        }
        answer("unanswered");
      },
    );
    this.#inspects.set(task, abort);
    void task.finally(() => this.#inspects.delete(task));
  }

  #answered(entry: ContainerEntry, take: () => Step[]): void {
    if (entry.isDiscarded || this.#isOver) return;
    entry.revision++;
    this.#run(entry, take());
    this.#options.onAnswered();
  }
}

function runFacts(answer: Answer): InspectAnswer {
  return typeof answer === "object" ? runFactsOf(answer) : answer;
}
