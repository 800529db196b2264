/**
 * The lifecycle of one container: everything that may delay its publication. That is the wait for the previous owner of
 * its name (`waiting`, filled and emptied by the name handover), an inspect under way, and a held exit verdict with its
 * deadline. Changes from the engine's stream and from reconciling take the same way: `NameHandover.submit()`, then
 * `take()`, the exit classifier, its effects, which are carried out at once, and the change publisher.
 */
import type { Clock } from "../../platform/clock.ts";
import { ContainerEntry, type ContainerFacts } from "../container_record.ts";
import type { ChangePublisher } from "./change_publisher.ts";
import type { ContainerChange, HealthChange } from "./container_change.ts";
import { type ClassifierSnapshot, ExitClassifier, type ExitEffect, HOLD_MS } from "./exit_classifier.ts";
import { healthDetailsOf, runFactsOf } from "./inspect_facts.ts";
import type { InspectAnswer, InspectRetryQueue } from "./inspect_retry_queue.ts";

/** What all lifecycles of one tracker share. */
export interface LifecycleContext {
  readonly publisher: ChangePublisher;
  readonly inspects: InspectRetryQueue;
  readonly clock: Clock;
  /** A held verdict only counts time during which the engine is connected. */
  readonly isConnected: () => boolean;
  /** Called when everything that follows at once from a change, an answer or a deadline has been carried out. */
  readonly onCarriedOut: (lifecycle: ContainerLifecycle) => void;
  /** Called when the container no longer waits for an inspect, after everything that follows at once from that. */
  readonly onAnswered: () => void;
}

export class ContainerLifecycle {
  readonly entry: ContainerEntry;
  /** Changes that wait for the container's name, in order. */
  readonly waiting: ContainerChange[] = [];
  #revision = 0;
  readonly #context: LifecycleContext;
  readonly #classifier: ExitClassifier;
  #deadline: { readonly cancel: () => void } | undefined;
  #isDiscarded = false;

  constructor(
    facts: ContainerFacts,
    context: LifecycleContext,
    options: { readonly stopFollowsDie: boolean; readonly snapshot?: ClassifierSnapshot },
  ) {
    this.entry = new ContainerEntry(facts);
    this.#context = context;
    this.#classifier = new ExitClassifier(options);
  }

  get id(): string {
    return this.entry.id;
  }

  /** Grows with every change, answer and deadline: a comparison with an older revision must be repeated. */
  get revision(): number {
    return this.#revision;
  }

  /** No change of the container has been published yet: its first one waits for a name. */
  get isUnpublished(): boolean {
    const { stateWasSeen, isInBaseline } = this.entry.replay;
    return this.waiting.length > 0 && !stateWasSeen && !isInBaseline;
  }

  /** Changes of the container have not been processed yet, so the entry may be out of date. */
  get isDelayed(): boolean {
    return this.waiting.length > 0 || this.#classifier.isAsking;
  }

  /** An exit is known, and its verdict is not. */
  get isSettling(): boolean {
    return this.#classifier.isSettling;
  }

  /** The container is no longer tracked, and nothing more of it is published or saved. */
  get isDiscarded(): boolean {
    return this.#isDiscarded;
  }

  /** Processes a change that does not have to wait for a name. Called by the name handover only. */
  take(change: ContainerChange): void {
    const wasAsking = this.#classifier.isAsking;
    this.#revision++;
    this.#carryOut(this.#classifier.handle(change));
    // Too many changes waited for the inspect, and it was given up.
    if (wasAsking && !this.#classifier.isAsking) this.#context.onAnswered();
  }

  /** Resumes what the lifecycle was waiting for when its checkpoint was made. */
  resumeCheckpoint(): void {
    this.#carryOut(this.#classifier.resume());
  }

  toSnapshot(): ClassifierSnapshot | undefined {
    return this.#classifier.toSnapshot();
  }

  /** @param number of the signal with which the engine stops the container */
  learnStopSignal(number: number): void {
    this.#classifier.learnStopSignal(number);
  }

  /** The engine is connected (again): a deadline starts over. */
  resume(): void {
    if (this.#deadline !== undefined) this.#arm(HOLD_MS);
  }

  /** The engine is not connected: a deadline does not pass. */
  pause(): void {
    this.#deadline?.cancel();
  }

  /** Gives up everything that the container waits for. */
  discard(): void {
    this.#isDiscarded = true;
    this.#disarm();
  }

  #carryOut(effects: readonly ExitEffect[]): void {
    const { publisher } = this.#context;
    for (const effect of effects) {
      switch (effect.do) {
        case "publish":
          publisher.publish(this.entry, effect.change);
          break;
        case "publish-exit":
          publisher.publishExit(this.entry, effect.exit);
          break;
        case "inspect":
          this.#inspect(effect);
          break;
        case "describe":
          this.#describe(effect.change);
          break;
        case "arm":
          this.#arm(effect.ms);
          break;
        case "disarm":
          this.#disarm();
          break;
      }
    }
    // Also without an effect: a change that waits behind an inspect is saved, because the engine will not repeat it.
    this.#context.onCarriedOut(this);
  }

  #arm(ms: number): void {
    this.#disarm();
    const { clock, isConnected } = this.#context;
    const cancel = isConnected() ? clock.after(ms, () => this.#deadlinePassed()) : () => {};
    this.#deadline = { cancel };
  }

  #disarm(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  #deadlinePassed(): void {
    this.#deadline = undefined;
    this.#revision++;
    this.#carryOut(this.#classifier.deadline());
  }

  #inspect({ question, needsCode }: { readonly question: number; readonly needsCode: boolean }): void {
    const { id, name } = this.entry;
    const answer = (answer: InspectAnswer): void =>
      this.#answered(() =>
        this.#classifier.inspected(question, typeof answer === "object" ? runFactsOf(answer) : answer)
      );
    if (!needsCode) return this.#context.inspects.askOnce({ id, name, answer });
    const isOpen = (): boolean => !this.#isDiscarded && this.#classifier.needsAnswer(question);
    this.#context.inspects.ask({ id, name, answer, isOpen });
  }

  /** Podman reports a status after every check, so only a new one is worth an inspect. */
  #describe(change: HealthChange): void {
    const { id, name, health } = this.entry;
    if (health === change.status) return this.#carryOut(this.#classifier.described(change));
    const answer = (answer: InspectAnswer): void =>
      this.#answered(() => {
        const details = typeof answer === "object" ? healthDetailsOf(answer, change.status) : undefined;
        return this.#classifier.described(change, details);
      });
    this.#context.inspects.askOnce({ id, name, answer });
  }

  #answered(effects: () => ExitEffect[]): void {
    if (this.#isDiscarded) return;
    this.#revision++;
    this.#carryOut(effects());
    this.#context.onAnswered();
  }
}
