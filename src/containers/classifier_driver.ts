/**
 * Carries out what exit classifiers ask for: hands each signal to its container's classifier and does the steps that
 * come out, at once and in their order. It owns what takes time in them, the deadlines of held verdicts and the
 * inspects, and ends both; whatever they bring goes back into the classifier they were for.
 */
import type { Clock } from "../platform/clock.ts";
import { runFactsOf } from "./container_differences.ts";
import type { ContainerEntry } from "./container_registry.ts";
import type { HealthSignal, Signal } from "./engine_dialect.ts";
import type { EntryChanges } from "./entry_changes.ts";
import { HOLD_MS, INSPECT_MS, type Step } from "./exit_classifier.ts";
import { healthDetailsOf } from "./health_details.ts";
import { type InspectResult, PatientInspects, type PatientInspectsOptions } from "./patient_inspects.ts";

export interface ClassifierDriverOptions extends PatientInspectsOptions {
  readonly changes: EntryChanges;
  /** Called when all that follows at once from a signal or an answer is done. */
  readonly onChanged: (entry: ContainerEntry) => void;
}

export class ClassifierDriver implements AsyncDisposable {
  readonly #options: ClassifierDriverOptions;
  readonly #inspects: PatientInspects;
  /** Verdicts are held for time in which the engine can be heard. */
  #isHearing = false;
  #isOver = false;
  /** Of held verdicts, by container. */
  readonly #deadlines = new Map<ContainerEntry, { cancel: () => void }>();

  constructor(options: ClassifierDriverOptions) {
    this.#options = options;
    this.#inspects = new PatientInspects(options);
  }

  /** Something happened to a container. */
  signal(entry: ContainerEntry, signal: Signal): void {
    if (this.#isOver) return;
    entry.revision++;
    this.#run(entry, entry.classifier.signal(signal));
  }

  /** The container is known from an earlier life: what was waited for then is waited for anew. */
  restored(entry: ContainerEntry): void {
    this.#run(entry, entry.classifier.resume());
  }

  /** The engine can be heard (again): every deadline begins anew, and so does every inspect without an answer. */
  resume(): void {
    this.#isHearing = true;
    this.#inspects.resume();
    for (const entry of [...this.#deadlines.keys()]) this.#arm(entry, HOLD_MS);
  }

  /** The engine cannot be heard: deadlines and inspects stand still. */
  pause(): void {
    this.#isHearing = false;
    this.#inspects.pause();
    for (const deadline of this.#deadlines.values()) deadline.cancel();
  }

  /** Gives up all deadlines: their containers are not tracked any more. */
  forget(): void {
    for (const deadline of this.#deadlines.values()) deadline.cancel();
    this.#deadlines.clear();
  }

  /** Ends deadlines and inspects, whatever they would have brought, and takes no signal any more. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.forget();
    await this.#inspects[Symbol.asyncDispose]();
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
          this.#inspect(entry, step.ms, (result) => {
            return entry.classifier.inspected(typeof result === "object" ? runFactsOf(result) : result);
          });
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
    if (steps.length > 0) this.#options.onChanged(entry);
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
    this.#inspect(entry, INSPECT_MS, (result) => {
      const details = typeof result === "object" ? healthDetailsOf(result, signal.status) : undefined;
      return entry.classifier.described(signal, details);
    });
  }

  #inspect(entry: ContainerEntry, patienceMs: number, take: (result: InspectResult) => Step[]): void {
    const { id, name } = entry;
    const answer = (result: InspectResult): void => {
      if (entry.isDiscarded || this.#isOver) return;
      entry.revision++;
      this.#run(entry, take(result));
    };
    this.#inspects.ask({ id, name, patienceMs, answer });
  }
}
