/**
 * Waits until a container meets a condition. The known state is checked and the listener registered in one synchronous block, so
 * no event falls between them; nothing is polled. When the condition can no longer be met, the wait ends with the reason.
 */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { ContainerRecord } from "../../containers/container_record.ts";
import type { InspectedContainer } from "../../containers/operations/container_questions.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { AnyContainerListener } from "../../orchestrator/orchestrator_events.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { WaitCondition, WaitEnd } from "../../protocol/container_operations.ts";

export interface ContainerConditionOptions {
  readonly containers: Pick<ContainerManager, "known" | "inspect">;
  readonly events: ContainerEventRouter;
  /** Whether apex itself watches the health of a container without a health check. */
  readonly isHealthWatched: (containerId: string) => boolean;
  /** Ends the wait with its reason. */
  readonly abort: AbortSignal;
}

/** @throws the reason of `abort` when it is aborted */
export async function untilContainerIs(
  condition: WaitCondition,
  containerId: string,
  options: ContainerConditionOptions,
): Promise<WaitEnd> {
  const { containers, events, abort } = options;
  abort.throwIfAborted();
  const known = endOfRecord(condition, containers.known(containerId));
  if (known !== undefined) return known;
  const end = Promise.withResolvers<WaitEnd>();
  const onAbort = (): void => end.reject(abort.reason);
  const ask = (question: Promise<WaitEnd | undefined>): void => {
    void question.then((answer) => answer && end.resolve(answer), end.reject);
  };
  const stop = events.listen(containerId, (event, name) => {
    const reached = endOfEvent(condition, event, name);
    if (reached !== undefined) end.resolve(reached);
    else if (isExit(name) && event.success && isHealth(condition)) {
      ask(endUnlessItRestarts(containerId, { ...options, exitCode: exitCodeOf(event) }));
    }
  });
  abort.addEventListener("abort", onAbort);
  if (isHealth(condition)) ask(endWithoutHealthCheck(containerId, options));
  try {
    return await end.promise;
  } finally {
    stop();
    abort.removeEventListener("abort", onAbort);
  }
}

/**
 * Passes each event of a container to the listeners of that container: the cost of an event does not depend on the number of
 * waits for other containers. It listens for as long as the orchestrator exists.
 */
export class ContainerEventRouter {
  readonly #listeners = new Map<string, Set<AnyContainerListener>>();

  constructor(orchestrator: Pick<ApexOrchestrator, "on">) {
    orchestrator.on("container:*", (event, name) => {
      const { containerId = "" } = event;
      for (const listener of [...this.#listeners.get(containerId) ?? []]) listener(event, name);
    });
  }

  /** Calls the listener synchronously with each event of the container, until the returned function is called. */
  listen(containerId: string, listener: AnyContainerListener): () => void {
    const listeners = this.#listeners.get(containerId) ?? new Set();
    this.#listeners.set(containerId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(containerId) === listeners) {
        this.#listeners.delete(containerId);
      }
    };
  }
}

type AnyContainerEvent = Parameters<AnyContainerListener>[0];
type ContainerEventName = Parameters<AnyContainerListener>[1];

function isHealth(condition: WaitCondition): boolean {
  return condition === "healthy" || condition === "unhealthy";
}

/** Undefined if the container may still meet the condition. */
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

/** Undefined if the container may still meet the condition. */
function endOfEvent(
  condition: WaitCondition,
  event: AnyContainerEvent,
  name: ContainerEventName,
): WaitEnd | undefined {
  // An operation of apex failed, and the container has not changed.
  if (!event.success) return undefined;
  if (name === "container:removed") {
    if (condition === "removed") return {};
    return condition === "exit" ? exitOf(exitCodeOf(event)) : { error: "it was removed" };
  }
  switch (condition) {
    case "exit":
      return isExit(name) ? exitOf(exitCodeOf(event)) : undefined;
    case "running":
      return name === "container:started" ? {} : undefined;
    default:
      return "status" in event && event.status === condition ? {} : undefined;
  }
}

function isExit(name: ContainerEventName): boolean {
  return name === "container:stopped" || name === "container:died";
}

function exitCodeOf(event: AnyContainerEvent): number | undefined {
  return "exitCode" in event ? event.exitCode : undefined;
}

function exitOf(exitCode: number | undefined): WaitEnd {
  return exitCode === undefined ? { error: "it has ended, and its exit status is not known" } : { exitCode };
}

function hasEnded(exitCode: number | undefined): string {
  return exitCode === undefined ? "it has ended" : `it has ended (exit status ${exitCode})`;
}

/** A restart policy may start the container again. */
async function endUnlessItRestarts(
  containerId: string,
  options: ContainerConditionOptions & { readonly exitCode: number | undefined },
): Promise<WaitEnd | undefined> {
  return await askEngine(containerId, options, ({ State }) => {
    const isRestarting = State.Running || "Restarting" in State && State.Restarting === true;
    return isRestarting ? undefined : { error: hasEnded(options.exitCode) };
  });
}

async function endWithoutHealthCheck(
  containerId: string,
  options: ContainerConditionOptions,
): Promise<WaitEnd | undefined> {
  if (options.isHealthWatched(containerId)) return undefined;
  return await askEngine(containerId, options, (container) =>
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

async function askEngine(
  containerId: string,
  { containers, abort }: ContainerConditionOptions,
  answer: (container: InspectedContainer) => WaitEnd | undefined,
): Promise<WaitEnd | undefined> {
  try {
    return answer(await containers.inspect(containerId, abort));
  } catch (error) {
    abort.throwIfAborted();
    if (!(error instanceof ApexError)) throw error;
    // The event of its removal will follow.
    return error.code === "not_found" ? undefined : { error: messageOf(error) };
  }
}
