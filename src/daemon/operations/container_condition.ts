/**
 * Waits until a container is as somebody wants it to be. What is known now and what happens next meet in one synchronous
 * block, so nothing falls between them. Nothing is polled. What cannot come any more is no reason to wait: the wait ends, and
 * says why.
 */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { ContainerRecord } from "../../containers/container_record.ts";
import type { InspectedContainer } from "../../containers/operations/container_questions.ts";
import type { AnyContainerEvent, AnyContainerListener } from "../../orchestrator/orchestrator_events.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { WaitCondition } from "../../protocol/wait_condition.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";

export interface ContainerConditionOptions {
  readonly containers: Pick<ContainerManager, "known" | "inspect">;
  readonly changes: ContainerChanges;
  /** Whether apex itself watches the health of a container without a health check. */
  readonly isHealthWatched: (containerId: string) => boolean;
  /** Gives up, with its reason. */
  readonly signal: AbortSignal;
}

/** How a wait ended. `error`: the condition cannot be met any more, and why. */
export interface WaitEnd {
  /** Of the container's last run, where that was waited for. */
  readonly exitCode?: number;
  readonly error?: string;
}

/** @throws the signal's reason when it aborts */
export async function untilContainerIs(
  condition: WaitCondition,
  containerId: string,
  options: ContainerConditionOptions,
): Promise<WaitEnd> {
  const { containers, changes, signal } = options;
  signal.throwIfAborted();
  const end = Promise.withResolvers<WaitEnd>();
  const onAbort = (): void => end.reject(signal.reason);
  const ask = (question: () => Promise<WaitEnd | undefined>): void => {
    void question().then((answer) => answer && end.resolve(answer), end.reject);
  };
  const known = endOfRecord(condition, containers.known(containerId));
  if (known !== undefined) return known;
  const stop = changes.watch(containerId, (change) => {
    const reached = endOfChange(condition, change);
    if (reached !== undefined) end.resolve(reached);
    else if (change.kind === "ended" && isOfHealth(condition)) {
      ask(() => endUnlessItRestarts(containerId, { ...options, exitCode: change.exitCode }));
    }
  });
  signal.addEventListener("abort", onAbort);
  if (isOfHealth(condition)) ask(() => endWithoutHealthCheck(containerId, options));
  try {
    return await end.promise;
  } finally {
    stop();
    signal.removeEventListener("abort", onAbort);
  }
}

function isOfHealth(condition: WaitCondition): boolean {
  return condition === "healthy" || condition === "unhealthy";
}

/** Undefined: it may still come. */
function endOfRecord(condition: WaitCondition, record: ContainerRecord | undefined): WaitEnd | undefined {
  if (record === undefined) {
    return condition === "removed" ? {} : { error: "it was removed, and how it ended is not known" };
  }
  const { state, exitCode, health } = record;
  switch (condition) {
    case "removed":
      return state === "removed" ? {} : undefined;
    case "exit":
      return state === "exited" || state === "removed" ? exitOf(exitCode) : undefined;
    case "running":
      return state === "running" || state === "paused" ? {} : endOfEnded(record);
    default:
      return health === condition ? {} : endOfEnded(record);
  }
}

function endOfEnded({ state, exitCode }: ContainerRecord): WaitEnd | undefined {
  if (state === "removed") return { error: "it was removed" };
  return state === "exited" ? { error: hasEnded(exitCode) } : undefined;
}

function endOfChange(condition: WaitCondition, change: ContainerChange): WaitEnd | undefined {
  if (change.kind === "removed") {
    if (condition === "removed") return {};
    return condition === "exit" ? exitOf(change.exitCode) : { error: "it was removed" };
  }
  switch (condition) {
    case "exit":
      return change.kind === "ended" ? exitOf(change.exitCode) : undefined;
    case "running":
      return change.kind === "started" ? {} : undefined;
    default:
      return change.kind === "health" && change.status === condition ? {} : undefined;
  }
}

function exitOf(exitCode: number | undefined): WaitEnd {
  return exitCode === undefined ? { error: "it has ended, and its exit status is not known" } : { exitCode };
}

function hasEnded(exitCode: number | undefined): string {
  return exitCode === undefined ? "it has ended" : `it has ended (exit status ${exitCode})`;
}

/** A restart policy may start it again. */
async function endUnlessItRestarts(
  containerId: string,
  options: ContainerConditionOptions & { readonly exitCode: number | undefined },
): Promise<WaitEnd | undefined> {
  return await answerOf(containerId, options, ({ State }) => {
    const isBack = State.Running || "Restarting" in State && State.Restarting === true;
    return isBack ? undefined : { error: hasEnded(options.exitCode) };
  });
}

async function endWithoutHealthCheck(
  containerId: string,
  options: ContainerConditionOptions,
): Promise<WaitEnd | undefined> {
  if (options.isHealthWatched(containerId)) return undefined;
  return await answerOf(containerId, options, (container) =>
    hasHealthCheck(container) ? undefined : {
      error: "it has no health check (give it one with --health-cmd, or wait with --for running)",
    });
}

function hasHealthCheck({ Config, State }: InspectedContainer): boolean {
  const check = "Healthcheck" in Config ? Config.Healthcheck : undefined;
  if (typeof check !== "object" || check === null) return (State.Health?.Status ?? "none") !== "none";
  const test = "Test" in check ? check.Test : undefined;
  return Array.isArray(test) && test.length > 0 && test[0] !== "NONE";
}

async function answerOf(
  containerId: string,
  { containers, signal }: ContainerConditionOptions,
  answer: (container: InspectedContainer) => WaitEnd | undefined,
): Promise<WaitEnd | undefined> {
  try {
    return answer(await containers.inspect(containerId, signal));
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ApexError)) throw error;
    // Its removal is on its way here.
    return error.code === "not_found" ? undefined : { error: messageOf(error) };
  }
}

/** What happened to a container, as far as somebody may wait for it. */
export type ContainerChange =
  | { readonly kind: "started" }
  | { readonly kind: "ended"; readonly exitCode?: number }
  | { readonly kind: "removed"; readonly exitCode?: number }
  | { readonly kind: "health"; readonly status: HealthStatus };

/** Where the events come from: the orchestrator. */
export interface ContainerEventSource {
  on(name: "container:*", listener: AnyContainerListener): unknown;
}

/**
 * Tells each change of a container to those who watch that one: however many wait, an event costs only those that it
 * concerns. Listens for as long as its source lives.
 */
export class ContainerChanges {
  readonly #watching = new Map<string, Set<(change: ContainerChange) => void>>();

  constructor(source: ContainerEventSource) {
    source.on("container:*", (event, name) => {
      const { containerId } = event;
      const listeners = containerId === undefined ? undefined : this.#watching.get(containerId);
      const change = listeners && changeOf(event, name);
      if (change !== undefined) { for (const listener of [...listeners ?? []]) listener(change); }
    });
  }

  /** Calls the listener, synchronously, with each change of the container from now on; returns what ends that. */
  watch(containerId: string, listener: (change: ContainerChange) => void): () => void {
    const listeners = this.#watching.get(containerId) ?? new Set();
    this.#watching.set(containerId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#watching.get(containerId) === listeners) {
        this.#watching.delete(containerId);
      }
    };
  }
}

function changeOf(
  event: AnyContainerEvent,
  name: Parameters<AnyContainerListener>[1],
): ContainerChange | undefined {
  // An operation of apex that failed: nothing happened.
  if (!event.success) return undefined;
  const exit = "exitCode" in event && event.exitCode !== undefined ? { exitCode: event.exitCode } : {};
  switch (name) {
    case "container:started":
      return { kind: "started" };
    case "container:stopped":
    case "container:died":
      return { kind: "ended", ...exit };
    case "container:removed":
      return { kind: "removed", ...exit };
    case "container:health":
      return "status" in event ? { kind: "health", status: event.status } : undefined;
    default:
      return undefined;
  }
}
