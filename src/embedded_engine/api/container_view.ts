/** A container as the API shows it: the summary in the list, and the inspection. */
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import type { HealthCheck } from "../containers/health_check.ts";
import { commandOf } from "../processes/launch_plan.ts";
import type { BindMount } from "../spec/bind_mounts.ts";
import type { CreateSpec } from "../spec/create_request.ts";
import { shortId } from "../spec/names.ts";
import { formatNano, nanoToMs, nanoToSeconds, ZERO_TIME } from "../spec/nano_time.ts";

const NANO_PER_MS = 1_000_000;

/** One element of `GET /containers/json`. */
export function summaryOf(container: EmbeddedContainer, nowMs: number): Record<string, unknown> {
  const { id, name, spec, createdNano, state } = container;
  return {
    Id: id,
    Names: [`/${name}`],
    Image: spec.image,
    ImageID: container.imageId,
    Command: commandOf(spec).map(quoted).join(" "),
    Created: nanoToSeconds(createdNano),
    Ports: [],
    Labels: spec.labels,
    State: state.status,
    Status: statusText(container, nowMs),
    HostConfig: { NetworkMode: spec.networkMode },
    NetworkSettings: { Networks: {} },
    Mounts: spec.mounts.map(mountView),
  };
}

/** The body of `GET /containers/{id}/json`. */
export function inspectionOf(container: EmbeddedContainer): Record<string, unknown> {
  const { id, name, spec, createdNano, state } = container;
  const [path = "", ...args] = commandOf(spec);
  const execIds = container.execs.running.map((exec) => exec.id);
  return {
    Id: id,
    Created: formatNano(createdNano),
    Path: path,
    Args: args,
    State: {
      Status: state.status,
      Running: container.isRunning,
      Paused: state.status === "paused",
      Restarting: state.status === "restarting",
      OOMKilled: false,
      Dead: false,
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: state.startedNano === undefined ? ZERO_TIME : formatNano(state.startedNano),
      FinishedAt: state.finishedNano === undefined ? ZERO_TIME : formatNano(state.finishedNano),
      ...state.health && { Health: healthView(state.health) },
    },
    Image: container.imageId,
    ResolvConfPath: "",
    HostnamePath: "",
    HostsPath: "",
    LogPath: "",
    Name: `/${name}`,
    RestartCount: state.restartCount,
    Driver: "process",
    Platform: Deno.build.os,
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: execIds.length === 0 ? null : execIds,
    HostConfig: {
      Binds: spec.mounts.filter((mount) => mount.createsSource)
        .map(({ source }) => `${source}:${source}`),
      NetworkMode: spec.networkMode,
      RestartPolicy: {
        Name: spec.restartPolicy.name,
        MaximumRetryCount: spec.restartPolicy.maximumRetryCount,
      },
      AutoRemove: spec.autoRemove,
      LogConfig: { Type: "json-file", Config: {} },
      ...spec.init !== undefined && { Init: spec.init },
      Memory: 0,
      NanoCpus: 0,
      PidsLimit: null,
      CapAdd: null,
      CapDrop: null,
    },
    GraphDriver: { Data: null, Name: "process" },
    Mounts: spec.mounts.map(mountView),
    Config: configView(id, spec),
    NetworkSettings: { Ports: {}, Networks: {} },
  };
}

function mountView({ source }: BindMount): Record<string, unknown> {
  return {
    Type: "bind",
    Source: source,
    Destination: source,
    Mode: "",
    RW: true,
    Propagation: "rprivate",
  };
}

function configView(id: string, spec: CreateSpec): Record<string, unknown> {
  return {
    Hostname: shortId(id),
    Domainname: "",
    User: spec.user,
    AttachStdin: spec.attached.stdin,
    AttachStdout: spec.attached.stdout,
    AttachStderr: spec.attached.stderr,
    Tty: spec.tty,
    OpenStdin: spec.openStdin,
    StdinOnce: spec.stdinOnce,
    Env: spec.env,
    Cmd: spec.cmd ?? null,
    ...spec.health && {
      Healthcheck: {
        Test: spec.health.test,
        Interval: spec.health.intervalMs * NANO_PER_MS,
        Timeout: spec.health.timeoutMs * NANO_PER_MS,
        StartPeriod: spec.health.startPeriodMs * NANO_PER_MS,
        Retries: spec.health.retries,
      },
    },
    Image: spec.image,
    Volumes: null,
    WorkingDir: spec.workingDir,
    Entrypoint: spec.entrypoint ?? null,
    OnBuild: null,
    Labels: spec.labels,
    ...spec.stopSignal !== undefined && { StopSignal: spec.stopSignal },
    ...spec.stopTimeoutSeconds !== undefined && { StopTimeout: spec.stopTimeoutSeconds },
  };
}

function healthView(health: HealthCheck): Record<string, unknown> {
  return {
    Status: health.status,
    FailingStreak: health.failingStreak,
    Log: health.log.map(({ startNano, endNano, exitCode, output }) => ({
      Start: formatNano(startNano),
      End: formatNano(endNano),
      ExitCode: exitCode,
      Output: output,
    })),
  };
}

/** The STATUS column of `docker ps`. */
function statusText({ state }: EmbeddedContainer, nowMs: number): string {
  const since = (nano: bigint | undefined) => humanDuration(nowMs - nanoToMs(nano ?? 0n));
  switch (state.status) {
    case "created":
      return "Created";
    case "removing":
      return "Removal In Progress";
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedNano)} ago`;
    case "exited":
      // Without a finished run: it exited by failing to start.
      return state.finishedNano === undefined
        ? "Created"
        : `Exited (${state.exitCode}) ${since(state.finishedNano)} ago`;
    case "paused":
      return `Up ${since(state.startedNano)} (Paused)`;
    case "running":
      return `Up ${since(state.startedNano)}${healthSuffix(state.health)}`;
  }
}

function healthSuffix(health: HealthCheck | undefined): string {
  if (health === undefined) return "";
  return health.status === "starting" ? " (health: starting)" : ` (${health.status})`;
}

function quoted(word: string): string {
  return /[\s'"]/.test(word) ? `'${word.replaceAll("'", `'\\''`)}'` : word;
}

/** A duration as `docker ps` prints it: "5 seconds", "About a minute", "3 hours". */
export function humanDuration(durationMs: number): string {
  const seconds = Math.floor(durationMs / 1_000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.round(minutes / 60);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 14) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 60) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
