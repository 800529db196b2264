/** The body of `POST /containers/create`: the fields that this engine uses, checked as Docker checks them. */
import * as v from "valibot";
import { parseEngineSignal } from "../../platform/signals.ts";
import { HttpError } from "../http/http_message.ts";
import { type BindMount, mountSchema, parseMounts } from "./bind_mounts.ts";
import {
  checkVariables,
  type ConsoleSize,
  consoleSize,
  flag,
  integer,
  nonEmpty,
  parseBody,
  strings,
  text,
  UNKNOWN_SIZE,
  words,
} from "./body_schema.ts";
import { checkImageReference } from "./image_store.ts";
import { checkCreateOptions } from "./unsupported_options.ts";

const createSchema = v.looseObject({
  Image: text,
  Cmd: words,
  Entrypoint: words,
  Env: strings,
  Labels: v.nullish(v.record(v.string(), v.string())),
  WorkingDir: text,
  User: text,
  StopSignal: text,
  StopTimeout: integer,
  Tty: flag,
  OpenStdin: flag,
  StdinOnce: flag,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  Healthcheck: v.nullish(v.looseObject({
    Test: strings,
    Interval: integer,
    Timeout: integer,
    StartPeriod: integer,
    Retries: integer,
  })),
  HostConfig: v.nullish(v.looseObject({
    AutoRemove: flag,
    Binds: strings,
    Mounts: v.nullish(v.array(mountSchema)),
    RestartPolicy: v.nullish(v.looseObject({ Name: text, MaximumRetryCount: integer })),
    NetworkMode: text,
    ConsoleSize: consoleSize,
    Init: v.nullish(v.boolean()),
  })),
});

type CreateBody = v.InferOutput<typeof createSchema>;

export type RestartPolicyName = "no" | "always" | "unless-stopped" | "on-failure";

export interface HealthSpec {
  /** As in the request: `["CMD", …]` or `["CMD-SHELL", script]`. */
  readonly test: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly retries: number;
}

/** What a container was asked to be. */
export interface CreateSpec {
  readonly image: string;
  readonly entrypoint: readonly string[] | undefined;
  readonly cmd: readonly string[] | undefined;
  /** `NAME=value`, in order; of several with one name, the last wins. */
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Empty: the container's own directory. */
  readonly workingDir: string;
  /** Empty, or a name of the user that runs the engine. */
  readonly user: string;
  readonly stopSignal: string | undefined;
  readonly stopTimeoutSeconds: number | undefined;
  readonly health: HealthSpec | undefined;
  readonly autoRemove: boolean;
  readonly restartPolicy: { readonly name: RestartPolicyName; readonly maximumRetryCount: number };
  readonly networkMode: string;
  readonly mounts: readonly BindMount[];
  /** Only shown by inspect: no container here is process 1. */
  readonly init: boolean | undefined;
  readonly tty: boolean;
  /** The first size of its terminal. */
  readonly size: ConsoleSize;
  readonly openStdin: boolean;
  /** Its standard input ends when the first attached client ends its own. */
  readonly stdinOnce: boolean;
  /** The streams that the client intends to attach to; only shown by inspect. */
  readonly attached: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
}

/** Docker's defaults for a health check. */
const HEALTH_DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, retries: 3 } as const;
const NANO_PER_MS = 1_000_000;

/**
 * Parses a create request.
 * @returns the spec, and warnings for the client
 * @throws {HttpError} 400 with Docker's message, or for an option that this engine does not support
 */
export function parseCreateRequest(body: unknown): { spec: CreateSpec; warnings: string[] } {
  const create = parseBody(createSchema, body);
  if (Object.keys(create).length === 0) {
    throw new HttpError(400, "Config cannot be empty in order to create a container");
  }
  check(create);
  checkCreateOptions(create);
  const host = create.HostConfig ?? {};
  const spec: CreateSpec = {
    image: create.Image ?? "",
    entrypoint: nonEmpty(create.Entrypoint),
    cmd: nonEmpty(create.Cmd) ?? (nonEmpty(create.Entrypoint) === undefined ? ["sh"] : undefined),
    env: create.Env ?? [],
    labels: create.Labels ?? {},
    workingDir: create.WorkingDir ?? "",
    user: create.User ?? "",
    stopSignal: create.StopSignal || undefined,
    stopTimeoutSeconds: create.StopTimeout ?? undefined,
    health: healthSpec(create.Healthcheck),
    autoRemove: host.AutoRemove ?? false,
    restartPolicy: {
      name: (host.RestartPolicy?.Name || "no") as RestartPolicyName,
      maximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    networkMode: host.NetworkMode || "default",
    mounts: parseMounts(host),
    init: host.Init ?? undefined,
    tty: create.Tty ?? false,
    size: host.ConsoleSize ?? UNKNOWN_SIZE,
    openStdin: create.OpenStdin ?? false,
    stdinOnce: create.StdinOnce ?? false,
    attached: {
      stdin: create.AttachStdin ?? false,
      stdout: create.AttachStdout ?? false,
      stderr: create.AttachStderr ?? false,
    },
  };
  return { spec, warnings: warningsFor(spec) };
}

function check(create: CreateBody): void {
  checkImageReference(create.Image ?? "");
  const { WorkingDir: workingDir, StopSignal: stopSignal, Healthcheck: health, HostConfig: host } = create;
  if (workingDir && !workingDir.startsWith("/")) {
    throw new HttpError(
      400,
      `the working directory '${workingDir}' is invalid, it needs to be an absolute path`,
    );
  }
  checkVariables(create.Env);
  if (stopSignal && parseEngineSignal(stopSignal) === undefined) {
    throw new HttpError(400, `Invalid signal: ${stopSignal}`);
  }
  for (const field of ["Interval", "Timeout", "StartPeriod"] as const) {
    const nano = health?.[field] ?? 0;
    if (nano !== 0 && nano < NANO_PER_MS) {
      throw new HttpError(400, `${field} in Healthcheck cannot be less than 1ms`);
    }
  }
  if ((health?.Retries ?? 0) < 0) throw new HttpError(400, "Retries in Healthcheck cannot be negative");
  checkRestartPolicy(host ?? {});
}

function checkRestartPolicy(host: NonNullable<CreateBody["HostConfig"]>): void {
  const name = host.RestartPolicy?.Name || "no";
  const count = host.RestartPolicy?.MaximumRetryCount ?? 0;
  if (!["no", "always", "unless-stopped", "on-failure"].includes(name)) {
    throw new HttpError(400, `invalid restart policy '${name}'`);
  }
  if (name !== "on-failure" && count !== 0) {
    throw new HttpError(400, `maximum retry count cannot be used with restart policy '${name}'`);
  }
  if (count < 0) throw new HttpError(400, "maximum retry count cannot be negative");
  if (host.AutoRemove && name !== "no") {
    throw new HttpError(400, "can't create 'AutoRemove' container with restart policy");
  }
}

function healthSpec(health: CreateBody["Healthcheck"]): HealthSpec | undefined {
  const kind = health?.Test?.[0];
  // NONE disables the check of an image. Docker only logs other words. In both cases there is no probe to run.
  if (kind !== "CMD" && kind !== "CMD-SHELL") return undefined;
  return {
    test: health?.Test ?? [],
    intervalMs: (health?.Interval ?? 0) / NANO_PER_MS || HEALTH_DEFAULTS.intervalMs,
    timeoutMs: (health?.Timeout ?? 0) / NANO_PER_MS || HEALTH_DEFAULTS.timeoutMs,
    startPeriodMs: (health?.StartPeriod ?? 0) / NANO_PER_MS || HEALTH_DEFAULTS.startPeriodMs,
    retries: health?.Retries || HEALTH_DEFAULTS.retries,
  };
}

function warningsFor({ networkMode }: CreateSpec): string[] {
  if (networkMode !== "none") return [];
  return [
    "the embedded engine isolates nothing: a container with the network none still uses the network of this machine",
  ];
}
