/**
 * The whole bridge, fed by hand: a test takes the place of the event follower, answers inspects, and advances the clock.
 * Collects what the orchestrator emits, in its wire form.
 */
import type { ContainerLifecycleEvent } from "../../../src/containers/changes/container_events.ts";
import { ContainerTracker } from "../../../src/containers/changes/container_tracker.ts";
import { ContainerHealthMonitor } from "../../../src/containers/health/container_health_monitor.ts";
import type { ContainerCheckpoints } from "../../../src/containers/reconcile/container_checkpoints.ts";
import { toWireEvent } from "../../../src/daemon/events_socket/publish.ts";
import type { ContainerInspect, ContainerSummary, EngineKind } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { ApexOrchestrator } from "../../../src/orchestrator/apex_orchestrator.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { WireEvent } from "../../../src/protocol/wire_event.ts";
import { openStorage, type Storage } from "../../../src/storage/storage.ts";
import { WorkspaceManager } from "../../../src/workspaces/workspace_manager.ts";
import { FakeClock } from "../fake_clock.ts";
import { EmittedManager } from "./emitted_manager.ts";

/** Answers one inspect; undefined: no such container. */
export type InspectAnswer = (
  id: string,
) => ContainerInspect | undefined | Promise<ContainerInspect | undefined>;

/** The engine's time at the start of tests that do not replay a recording. */
export const T0_MS = Date.UTC(2026, 0, 1);

export class EngineFeed implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly tracker: ContainerTracker;
  readonly orchestrator: ApexOrchestrator;
  /** What was published, oldest first. */
  readonly published: WireEvent[] = [];
  readonly lifecycle: ContainerLifecycleEvent[] = [];
  readonly inspected: string[] = [];
  reconcileRequests = 0;
  /** Answers inspects. At first, no container exists. */
  answer: InspectAnswer = () => undefined;
  readonly #kind: EngineKind;
  readonly #storage: Storage;
  /** The manager for the layers above; a test may set its operations. */
  readonly manager = new EmittedManager();
  readonly health: ContainerHealthMonitor;

  /** @param options.checkpoints of an earlier run of the tracker */
  constructor(
    kind: EngineKind = "docker",
    options: { startMs?: number; checkpoints?: ContainerCheckpoints } = {},
  ) {
    this.#kind = kind;
    this.clock = new FakeClock(options.startMs ?? T0_MS);
    this.tracker = new ContainerTracker({
      emitter: this.manager,
      inspect: (id, abort) => this.#inspect(id, abort),
      requestReconcile: () => this.reconcileRequests++,
      checkpoints: options.checkpoints,
      clock: this.clock,
      logger: silentLogger,
    });
    this.manager.list = () => this.tracker.registry.list();
    this.manager.find = (nameOrId) => this.tracker.registry.find(nameOrId);
    this.manager.reportHealth = (id, health) => this.tracker.reportHealth(id, health);
    this.health = new ContainerHealthMonitor({
      manager: this.manager,
      logger: silentLogger,
      clock: this.clock,
    });
    const workspaces = new WorkspaceManager({
      manager: this.manager,
      health: this.health,
      logger: silentLogger,
      clock: this.clock,
    });
    this.#storage = openStorage({ path: ":memory:", logger: silentLogger, clock: this.clock });
    this.orchestrator = new ApexOrchestrator({ workspaces, store: this.#storage.tasks });
    this.orchestrator.on(
      "container:*",
      (event, name) => this.published.push(toWireEvent(name, event as never)),
    );
    this.manager.on("container:lifecycle", (event) => this.lifecycle.push(event));
  }

  connect(containers: ContainerSummary[] = [], options: { first?: boolean; engineId?: string } = {}): void {
    this.tracker.connected({
      kind: this.#kind,
      version: "1",
      engineId: options.engineId ?? "engine-1",
      containers,
      first: options.first ?? true,
      baselineNano: this.clock.now() * 1e6,
    });
  }

  /** Delivers one event. The answers to its inspects arrive during {@linkcode settle}. */
  deliver(event: EngineEvent, silent = false): void {
    this.tracker.event(event, silent);
  }

  /** Delivers an event with the clock's time. */
  say(action: string, id: string, attributes: Record<string, string> = {}): void {
    this.deliver(engineEvent(action, id, { timeMs: this.clock.now(), attributes }));
  }

  /** Waits until every available answer has arrived. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** Compares, and advances the time that the stream has to report differences. */
  async reconcile(containers: ContainerSummary[]): Promise<void> {
    const done = this.tracker.reconcile(containers, new AbortController().signal);
    await this.settle();
    this.clock.advance(500);
    await done;
  }

  /** Takes out what was published, in short form: `died web 3`; `~` marks reconciled events. */
  take(): string[] {
    return this.published.splice(0).map((event) => {
      if (!("containerName" in event)) throw new Error(`not a container event: ${event.type}`);
      const words = [event.type.replace("container.", ""), event.containerName];
      if ("exitCode" in event && event.exitCode !== undefined) words.push(String(event.exitCode));
      if ("signal" in event && event.signal !== undefined) words.push(event.signal);
      if ("oomKilled" in event && event.oomKilled) words.push("oom");
      if ("status" in event) words.push(`${event.previousStatus ?? "?"}>${event.status}`);
      return ("origin" in event && event.origin !== undefined ? "~" : "") + words.join(" ");
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.orchestrator.dispose();
    this.#storage[Symbol.dispose]();
    await this.health[Symbol.asyncDispose]();
    await this.tracker[Symbol.asyncDispose]();
  }

  async #inspect(id: string, abort: AbortSignal): Promise<ContainerInspect> {
    this.inspected.push(id);
    const answer = this.answer(id);
    const aborted = Promise.withResolvers<never>();
    abort.addEventListener("abort", () => aborted.reject(abort.reason), { once: true });
    const inspect = await Promise.race([answer, aborted.promise]);
    if (inspect === undefined) throw new EngineError(`no such container: ${id}`, { status: 404 });
    return inspect;
  }
}

export function engineEvent(
  action: string,
  id: string,
  options: { timeMs: number; attributes?: Record<string, string> },
): EngineEvent {
  return {
    type: "container",
    action,
    id,
    attributes: { image: "busybox:local", name: id, ...options.attributes },
    timeNano: options.timeMs * 1e6,
  };
}

/** Times are in milliseconds after {@linkcode T0_MS}. */
export interface InspectFacts {
  readonly status?: string;
  readonly exitCode?: number;
  readonly oomKilled?: boolean;
  readonly error?: string;
  readonly created?: number;
  readonly started?: number;
  readonly finished?: number;
  readonly stopSignal?: string;
  readonly health?: string;
  readonly name?: string;
  readonly labels?: Record<string, string>;
}

export function inspectOf(id: string, facts: InspectFacts = {}): ContainerInspect {
  const time = (ms: number | undefined): string =>
    ms === undefined ? "0001-01-01T00:00:00Z" : new Date(T0_MS + ms).toISOString();
  const status = facts.status ?? "running";
  return {
    Id: id,
    Name: `/${facts.name ?? id}`,
    Created: time(facts.created ?? 0),
    Config: {
      Image: "busybox:local",
      Labels: facts.labels ?? {},
      ...(facts.stopSignal !== undefined && { StopSignal: facts.stopSignal }),
    },
    State: {
      Status: status,
      Running: status === "running",
      ExitCode: facts.exitCode ?? 0,
      OOMKilled: facts.oomKilled ?? false,
      Error: facts.error ?? "",
      StartedAt: time(facts.started),
      FinishedAt: time(facts.finished),
      ...(facts.health !== undefined && { Health: { Status: facts.health, FailingStreak: 0, Log: [] } }),
    },
  };
}

export function summaryOf(
  id: string,
  facts: { state?: string; status?: string; name?: string; labels?: Record<string, string> } = {},
): ContainerSummary {
  return {
    Id: id,
    Names: [`/${facts.name ?? id}`],
    Image: "busybox:local",
    Labels: facts.labels ?? {},
    State: facts.state ?? "running",
    Status: facts.status ?? "Up 5 seconds",
    Created: T0_MS / 1000 - 60,
  };
}
