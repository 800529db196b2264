/**
 * From each engine's events to {@linkcode ContainerChange}. Only this file knows that Docker says `destroy` where Podman
 * says `remove`, or where each of them puts a container's health. The order of events is the exit classifier's business.
 */
import type { EngineKind } from "../../engine/engine_types.ts";
import type { EngineEvent } from "../../engine/events/event_stream.ts";
import { signalNumber } from "../../platform/signals.ts";
import { type HealthStatus, healthStatusSchema } from "../../protocol/wire_event.ts";
import type { ContainerChange, LifecycleAction } from "./container_change.ts";

/** The actions that apex reads, under the names that the engines give them. All others are ignored. */
const KINDS: ReadonlyMap<string, LifecycleAction | "health"> = new Map<string, LifecycleAction | "health">([
  ["create", "create"],
  ["start", "start"],
  ["restart", "restart"],
  ["kill", "kill"],
  ["oom", "oom"],
  ["die", "die"],
  ["died", "die"], // Podman's native name; its Docker-compatible API says `die`
  ["stop", "stop"],
  ["pause", "pause"],
  ["unpause", "unpause"],
  ["rename", "rename"],
  ["destroy", "remove"], // Docker
  ["remove", "remove"], // Podman
  ["health_status", "health"], // `health_status: healthy` is cut at the colon before the lookup
]);

/** The other differences between the engines. The embedded engine speaks Docker's dialect. */
interface Dialect {
  /** A label overwrites the event attribute of the same name. */
  readonly labelsHideAttributes: boolean;
  /** Attributes of `die` that may hold the exit code, in this order. */
  readonly exitCodeAttributes: readonly string[];
  /** Attribute of `die` that says whether the kernel's OOM killer ended the process. */
  readonly oomAttribute?: string;
  /** The exit code that `die` reports for a process whose end the engine did not see. An inspect may know the real one. */
  readonly codeOfUnseenExit?: string;
  /** Attributes of every event that are not labels. */
  readonly ownAttributes: readonly string[];
}

const DOCKER: Dialect = {
  labelsHideAttributes: true,
  exitCodeAttributes: ["exitCode"],
  // Docker 20.10 reports 255 when its containerd goes down just before dockerd, and when dockerd starts again and finds
  // that its containerd has lost the process.
  codeOfUnseenExit: "255",
  ownAttributes: ["image", "name"],
};
const PODMAN: Dialect = {
  labelsHideAttributes: false,
  exitCodeAttributes: ["exitCode", "containerExitCode"],
  oomAttribute: "oomKilled",
  ownAttributes: ["image", "name", "containerExitCode", "podId", "health_status", "oomKilled"],
};
const DIALECTS: Readonly<Record<EngineKind, Dialect>> = { docker: DOCKER, embedded: DOCKER, podman: PODMAN };

/** Attributes of some actions only. `create` has none of them: what it shows under these names is a label. */
const ACTION_ATTRIBUTES = ["exitCode", "signal", "execDuration", "oldName"];

/**
 * Translates one event.
 *
 * @param context.knownLabels the container's labels, when its creation or a list has shown them. On Docker an attribute
 *   that is also a label is not believed.
 * @returns undefined for events that do not change a container (`exec_*`, `attach`, `resize`, `top`, Podman's `init`,
 *   `sync`, `cleanup`, …)
 */
export function normalizeEvent(
  event: EngineEvent,
  context: {
    readonly engine: EngineKind;
    readonly knownLabels?: Readonly<Record<string, string>> | undefined;
    readonly silent?: boolean;
  },
): ContainerChange | undefined {
  if (event.type !== "container") return undefined;
  const [action = "", detail] = event.action.split(": ", 2);
  const kind = KINDS.get(action);
  if (kind === undefined) return undefined;

  const dialect = DIALECTS[context.engine];
  const { knownLabels } = context;
  const { attributes } = event;
  const attribute = (name: string): string | undefined => {
    const isHidden = dialect.labelsHideAttributes && knownLabels !== undefined &&
      Object.hasOwn(knownLabels, name);
    return isHidden ? undefined : attributes[name];
  };
  const base = {
    id: event.id,
    name: attributes.name ?? "",
    image: attributes.image ?? "",
    labels: knownLabels ?? labelsIn(attributes, kind === "create", dialect),
    timeNano: event.timeNano,
    ...(context.silent === true && { silent: true }),
  };
  switch (kind) {
    case "kill": {
      const signal = signalNumber(attribute("signal") ?? "");
      return { ...base, kind, ...(signal !== undefined && { signal }) };
    }
    case "die": {
      const code = dialect.exitCodeAttributes.map(attribute).find((each) => each !== undefined);
      const { oomAttribute, codeOfUnseenExit } = dialect;
      return {
        ...base,
        kind,
        ...(code !== undefined && /^-?\d+$/.test(code) && { exitCode: Number(code) }),
        ...(code !== undefined && code === codeOfUnseenExit && { isCodeDoubtful: true }),
        ...(oomAttribute !== undefined && { oomKilled: attributes[oomAttribute] === "true" }),
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

/** Whether the engine reports a `stop` after the `die` that it led to. Podman reports it before. */
export function stopFollowsDie(engine: EngineKind): boolean {
  return engine !== "podman";
}

/** Reads the engine's word for a health status; undefined for any other word. */
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
