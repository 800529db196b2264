/**
 * What each engine says, in one vocabulary. This is the only file that knows that Docker says `destroy` and Podman
 * `remove`, or where each of them puts a container's health. Orders of events are the exit classifier's affair.
 */
import type { EngineKind } from "../../engine/engine_types.ts";
import type { EngineEvent } from "../../engine/events/engine_event.ts";
import { signalNumber } from "../../platform/signals.ts";
import { type HealthStatus, healthStatusSchema } from "../../protocol/wire_event.ts";
import type { LifecycleAction } from "./container_events.ts";
import type { HealthDetails } from "./health_details.ts";

/** One thing that happened to one container, whichever engine told it. */
export type Signal = PlainSignal | KillSignal | DieSignal | HealthSignal;

interface SignalBase {
  /** The container's full id. */
  readonly id: string;
  /** Without the leading slash; after a rename the new one. */
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The engine's time of it, nanoseconds since the Unix epoch. */
  readonly timeNano: number;
  /** `reconciled`: inferred from the engine's state; absent: the engine's stream said so. */
  readonly origin?: "reconciled";
  /** Older than the baseline: changes what is known, is told to nobody. */
  readonly silent?: boolean;
}

export interface PlainSignal extends SignalBase {
  readonly kind: Exclude<LifecycleAction, "kill" | "die">;
}

export interface KillSignal extends SignalBase {
  readonly kind: "kill";
  /** Absent when the engine does not say (Podman) or a label hides it. */
  readonly signal?: number;
  /** apex itself has sent it. */
  readonly isOwn?: true;
}

export interface DieSignal extends SignalBase {
  readonly kind: "die";
  /** Absent when a label hides it. */
  readonly exitCode?: number;
  /** The engine is known to say so also where it does not know: an inspect tells. */
  readonly isCodeDoubtful?: true;
  /** Absent when the engine's event does not say (Docker). */
  readonly oomKilled?: boolean;
  /** The engine's own words; known only where an inspect was made. */
  readonly error?: string;
}

export interface HealthSignal extends SignalBase {
  readonly kind: "health";
  readonly status: HealthStatus;
  /** What led to it, once that is known; the engines' events do not say. */
  readonly details?: HealthDetails;
  /** From apex's own watch on what the container uses, not from the engine. */
  readonly fromWatch?: true;
}

/** Actions that mean something, by the name that any of the engines gives them. All others are ignored. */
const KINDS: ReadonlyMap<string, LifecycleAction | "health"> = new Map<string, LifecycleAction | "health">([
  ["create", "create"],
  ["start", "start"],
  ["restart", "restart"],
  ["kill", "kill"],
  ["oom", "oom"],
  ["die", "die"],
  ["died", "die"], // Podman's own name; its compatible API says `die`
  ["stop", "stop"],
  ["pause", "pause"],
  ["unpause", "unpause"],
  ["rename", "rename"],
  ["destroy", "remove"], // Docker
  ["remove", "remove"], // Podman
  ["health_status", "health"], // `health_status: healthy` is cut at the colon before it is looked up
]);

/** Where the engines differ otherwise. The embedded engine speaks Docker's dialect. */
interface Dialect {
  /** A label overwrites an event attribute of the same name. */
  readonly labelsHideAttributes: boolean;
  /** Attribute of `die` that tells whether the kernel killed it for want of memory. */
  readonly oomAttribute?: string;
  /** What `die` gives as the exit code of a process whose end the engine did not see; an inspect may know the real one. */
  readonly codeOfUnseenExit?: string;
  /** Attributes of every event that are no labels. */
  readonly ownAttributes: readonly string[];
}

// 255: seen on 20.10, when dockerd goes down and its containerd a moment before it, and when it is back and finds that
// its containerd had lost the process.
const DOCKER: Dialect = {
  labelsHideAttributes: true,
  codeOfUnseenExit: "255",
  ownAttributes: ["image", "name"],
};
const PODMAN: Dialect = {
  labelsHideAttributes: false,
  oomAttribute: "oomKilled",
  ownAttributes: ["image", "name", "containerExitCode", "podId", "health_status", "oomKilled"],
};
const DIALECTS: Readonly<Record<EngineKind, Dialect>> = { docker: DOCKER, embedded: DOCKER, podman: PODMAN };

/** Attributes that only some actions have; `create` has none of them, so what it shows under these names is a label. */
const ACTION_ATTRIBUTES = ["exitCode", "signal", "execDuration", "oldName"];

/**
 * Translates one event; undefined for those that say nothing about a container's life (`exec_*`, `attach`, `resize`,
 * `top`, Podman's `init`, `sync`, `cleanup`, …).
 *
 * @param knownLabels of the container, when they are known from its creation or from a list: an attribute that is also
 *   a label says nothing (Docker)
 */
export function toSignal(
  event: EngineEvent,
  context: {
    readonly engine: EngineKind;
    readonly knownLabels?: Readonly<Record<string, string>>;
    readonly silent?: boolean;
  },
): Signal | undefined {
  if (event.type !== "container") return undefined;
  const [action = "", detail] = event.action.split(": ", 2);
  const kind = KINDS.get(action);
  if (kind === undefined) return undefined;

  const dialect = DIALECTS[context.engine];
  const { attributes } = event;
  const attribute = (name: string): string | undefined => {
    const hidden = dialect.labelsHideAttributes && context.knownLabels !== undefined &&
      Object.hasOwn(context.knownLabels, name);
    return hidden ? undefined : attributes[name];
  };
  const base = {
    id: event.id,
    name: attributes.name ?? "",
    image: attributes.image ?? "",
    labels: context.knownLabels ?? labelsIn(attributes, kind === "create", dialect),
    timeNano: event.timeNano,
    ...(context.silent === true && { silent: true }),
  };
  switch (kind) {
    case "kill": {
      const signal = signalNumber(attribute("signal") ?? "");
      return { ...base, kind, ...(signal !== undefined && { signal }) };
    }
    case "die": {
      const code = attribute("exitCode") ?? podmanExitCode(attributes, dialect);
      const exitCode = integer(code);
      const isCodeDoubtful = code !== undefined && code === dialect.codeOfUnseenExit;
      const oomKilled = dialect.oomAttribute === undefined
        ? undefined
        : attributes[dialect.oomAttribute] === "true";
      return {
        ...base,
        kind,
        ...(exitCode !== undefined && { exitCode }),
        ...(isCodeDoubtful && { isCodeDoubtful }),
        ...(oomKilled !== undefined && { oomKilled }),
      };
    }
    case "health": {
      const status = healthStatus(detail ?? event.healthStatus ?? attributes.health_status);
      return status === undefined ? undefined : { ...base, kind, status };
    }
    default:
      return { ...base, kind };
  }
}

/** Docker and Podman end a container with a `stop` event each, but only Docker (and the embedded engine) after `die`. */
export function stopFollowsDie(engine: EngineKind): boolean {
  return engine !== "podman";
}

/** The status in one of the engine's spellings; undefined for what is none. */
export function healthStatus(text: string | undefined): HealthStatus | undefined {
  return healthStatusSchema.options.find((status) => status === text);
}

function labelsIn(
  attributes: Readonly<Record<string, string>>,
  isCreate: boolean,
  dialect: Dialect,
): Record<string, string> {
  const own = isCreate ? dialect.ownAttributes : [...dialect.ownAttributes, ...ACTION_ATTRIBUTES];
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !own.includes(name)));
}

function podmanExitCode(attributes: Readonly<Record<string, string>>, dialect: Dialect): string | undefined {
  return dialect === PODMAN ? attributes.containerExitCode : undefined;
}

function integer(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}
