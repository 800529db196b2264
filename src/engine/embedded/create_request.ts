/** The body of `POST /containers/create`: what of it counts here, checked as Docker checks it. */
import * as v from "valibot";
import { HttpError } from "./http_error.ts";
import { checkImageReference } from "./image_reference.ts";
import { parseSignal } from "./signals.ts";

/** Go takes `null` for any field, and a string where a list of strings may stand. */
const words = v.nullish(v.union([v.pipe(v.string(), v.transform((word) => [word])), v.array(v.string())]));
const integer = v.nullish(v.pipe(v.number(), v.integer()));
const flag = v.nullish(v.boolean());
const text = v.nullish(v.string());

const createSchema = v.looseObject({
  Image: text,
  Cmd: words,
  Entrypoint: words,
  Env: v.nullish(v.array(v.string())),
  Labels: v.nullish(v.record(v.string(), v.string())),
  WorkingDir: text,
  User: text,
  Hostname: text,
  StopSignal: text,
  StopTimeout: integer,
  Tty: flag,
  OpenStdin: flag,
  Healthcheck: v.nullish(v.looseObject({
    Test: v.nullish(v.array(v.string())),
    Interval: integer,
    Timeout: integer,
    StartPeriod: integer,
    Retries: integer,
  })),
  HostConfig: v.nullish(v.looseObject({
    AutoRemove: flag,
    Binds: v.nullish(v.array(v.string())),
    Mounts: v.nullish(v.array(v.looseObject({ Type: text, Source: text, Target: text }))),
    RestartPolicy: v.nullish(v.looseObject({ Name: text, MaximumRetryCount: integer })),
    NetworkMode: text,
  })),
});

type CreateBody = v.InferOutput<typeof createSchema>;

export type RestartPolicyName = "no" | "always" | "unless-stopped" | "on-failure";

export interface HealthSpec {
  /** As it was given: `["CMD", …]` or `["CMD-SHELL", script]`. */
  readonly test: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly retries: number;
}

/** What a container was asked to be. */
export interface ContainerSpec {
  readonly image: string;
  readonly entrypoint: readonly string[] | undefined;
  readonly cmd: readonly string[] | undefined;
  /** `NAME=value`, in order; the last one of a name wins. */
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Empty when none was asked for. */
  readonly workingDir: string;
  readonly hostname: string;
  readonly stopSignal: string | undefined;
  readonly stopTimeoutSeconds: number | undefined;
  readonly health: HealthSpec | undefined;
  readonly autoRemove: boolean;
  readonly restartPolicy: { readonly name: RestartPolicyName; readonly maximumRetryCount: number };
  readonly networkMode: string;
  readonly mounts: readonly BindMount[];
}

/** A directory of this machine that the container was to see at `target`. */
export interface BindMount {
  readonly source: string;
  readonly target: string;
}

/** Docker's own defaults of a health check. */
const HEALTH_DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, retries: 3 } as const;
const NANO_PER_MS = 1_000_000;

/**
 * Reads a create request.
 * @returns the spec, and the warnings for what it asks and a process cannot have
 * @throws {HttpError} 400 with Docker's words, 501 for a terminal
 */
export function parseCreateRequest(body: unknown): { spec: ContainerSpec; warnings: string[] } {
  const parsed = v.safeParse(createSchema, body);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw new HttpError(400, `invalid JSON: field ${v.getDotPath(issue) ?? "(the whole)"}: ${issue.message}`);
  }
  const create = parsed.output;
  if (Object.keys(create).length === 0) {
    throw new HttpError(400, "Config cannot be empty in order to create a container");
  }
  check(create);
  const host = create.HostConfig ?? {};
  const spec: ContainerSpec = {
    image: create.Image ?? "",
    entrypoint: nonEmpty(create.Entrypoint),
    cmd: nonEmpty(create.Cmd) ?? (nonEmpty(create.Entrypoint) === undefined ? ["sh"] : undefined),
    env: create.Env ?? [],
    labels: create.Labels ?? {},
    workingDir: create.WorkingDir ?? "",
    hostname: create.Hostname ?? "",
    stopSignal: create.StopSignal || undefined,
    stopTimeoutSeconds: create.StopTimeout ?? undefined,
    health: healthSpec(create.Healthcheck),
    autoRemove: host.AutoRemove ?? false,
    restartPolicy: {
      name: (host.RestartPolicy?.Name || "no") as RestartPolicyName,
      maximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    networkMode: host.NetworkMode || "default",
    mounts: bindMounts(host),
  };
  return { spec, warnings: warningsFor(create, spec) };
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
  const badVariable = create.Env?.find((variable) => variable === "" || variable.startsWith("="));
  if (badVariable !== undefined) throw new HttpError(400, `invalid environment variable: ${badVariable}`);
  if (stopSignal && parseSignal(stopSignal) === undefined) {
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
  if (create.Tty) {
    throw new HttpError(501, "the embedded engine has no terminals (TTY) yet: use docker or podman");
  }
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
  // NONE switches an image's check off; other words Docker only logs. Neither leaves anything to run here.
  if (kind !== "CMD" && kind !== "CMD-SHELL") return undefined;
  return {
    test: health?.Test ?? [],
    intervalMs: (health?.Interval ?? 0) / NANO_PER_MS || HEALTH_DEFAULTS.intervalMs,
    timeoutMs: (health?.Timeout ?? 0) / NANO_PER_MS || HEALTH_DEFAULTS.timeoutMs,
    startPeriodMs: (health?.StartPeriod ?? 0) / NANO_PER_MS || HEALTH_DEFAULTS.startPeriodMs,
    retries: health?.Retries || HEALTH_DEFAULTS.retries,
  };
}

function bindMounts(host: NonNullable<CreateBody["HostConfig"]>): BindMount[] {
  const binds = (host.Binds ?? []).map((bind) => {
    const [source = "", target = ""] = bind.split(":");
    if (source === "" || target === "") throw new HttpError(400, `invalid volume specification: '${bind}'`);
    return { source, target };
  });
  const mounts = (host.Mounts ?? []).filter((mount) => mount.Type === "bind")
    .map((mount) => ({ source: mount.Source ?? "", target: mount.Target ?? "" }));
  return [...binds, ...mounts];
}

/** One warning for each thing that will not be as it was asked for; all else of the request is stored and ignored. */
function warningsFor(create: CreateBody, spec: ContainerSpec): string[] {
  const warnings = spec.mounts.map(({ source, target }) =>
    `the embedded engine mounts nothing: ${source} is not visible at ${target}; ` +
    `a working directory at or below ${target} becomes that of ${source}`
  );
  if (create.User) {
    warnings.push(`the embedded engine runs everything as its own user: "${create.User}" is ignored`);
  }
  if (create.OpenStdin) warnings.push("the embedded engine has no attach yet: standard input is empty");
  return warnings;
}

function nonEmpty(list: readonly string[] | null | undefined): readonly string[] | undefined {
  return list === null || list === undefined || list.length === 0 ? undefined : list;
}
