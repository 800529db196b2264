/**
 * Translates a {@linkcode ContainerSpec} into the body of the engine's `POST /containers/create`. Values that no engine
 * accepts are refused here, with an error that names the value: the engine's own message often does not.
 */
import { isImageId, parseImageReference } from "../../engine/image_pull.ts";
import { ApexError } from "../../platform/apex_error.ts";
import {
  type ContainerSpec,
  type GpuRequest,
  type HealthcheckSpec,
  type Mount,
  type PortMapping,
  WORKSPACE_PATH,
} from "./container_spec.ts";
import { type EngineTraits, UNKNOWN_TRAITS } from "./engine_traits.ts";

/** The engine's minimum. */
const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const MIN_CPUS = 0.01;
const NANO_PER_CPU = 1e9;
const NANO_PER_MS = 1e6;
/** Each of the engine's events of a container contains all of its labels. */
const MAX_LABELS_LENGTH = 64 * 1024;

/**
 * @param traits of the engine that will create the container
 * @throws {ApexError} `usage`, naming the invalid value
 */
export function createBody(
  wanted: ContainerSpec,
  traits: EngineTraits = UNKNOWN_TRAITS,
): Record<string, unknown> {
  const spec = withProjectDir(wanted, traits);
  const image = spec.image;
  if (!isImageId(image) && parseImageReference(image) === undefined) {
    refuse("image", image, image.toLowerCase() === image ? "it is not an image name" : "use lower case");
  }
  if (spec.name !== undefined && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(spec.name)) {
    refuse(
      "container name",
      spec.name,
      "use two or more of A-Z a-z 0-9 _ . - and begin with a letter or digit",
    );
  }
  if (spec.workdir !== undefined && !spec.workdir.startsWith("/")) {
    refuse("working directory", spec.workdir, "use an absolute path");
  }
  if (spec.user !== undefined && !/^[^:\s\0]+(:[^:\s\0]+)?$/.test(spec.user)) {
    refuse("user", spec.user, "use NAME, UID or UID:GID");
  }
  return {
    Image: image,
    ...(spec.entrypoint !== undefined && { Entrypoint: words("entrypoint", spec.entrypoint) }),
    ...(spec.cmd !== undefined && { Cmd: words("command", spec.cmd) }),
    Labels: labels(spec.labels ?? {}),
    Env: environment(spec.env ?? {}),
    ...(spec.workdir !== undefined && { WorkingDir: spec.workdir }),
    ...(spec.user !== undefined && { User: spec.user }),
    Tty: spec.tty ?? false,
    OpenStdin: spec.openStdin ?? false,
    ...(spec.stdinOnce && { StdinOnce: true }),
    ...(spec.ports !== undefined && { ExposedPorts: exposedPorts(spec.ports) }),
    ...(spec.healthcheck !== undefined && { Healthcheck: healthcheck(spec.healthcheck) }),
    ...(spec.stopSignal !== undefined && { StopSignal: spec.stopSignal }),
    HostConfig: hostConfig(spec, traits),
  };
}

/**
 * `NAME=value` for each variable.
 * @throws {ApexError} `usage`
 */
export function environment(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => {
    if (name === "" || name.includes("=") || name.includes("\0")) {
      refuse("environment variable", name, "its name must not be empty or contain =");
    }
    if (value.includes("\0")) refuse("value of the environment variable", name, "it contains a NUL");
    return `${name}=${value}`;
  });
}

/** Where the engine can mount, the directory is at {@linkcode WORKSPACE_PATH}; elsewhere it keeps its own path. */
function withProjectDir(spec: ContainerSpec, { canMount }: EngineTraits): ContainerSpec {
  const { projectDir, mounts = [], workdir } = spec;
  if (projectDir === undefined) return spec;
  if (!canMount) return { ...spec, workdir: workdir ?? projectDir };
  return {
    ...spec,
    workdir: workdir ?? WORKSPACE_PATH,
    mounts: [...mounts, { source: projectDir, target: WORKSPACE_PATH }],
  };
}

function hostConfig(spec: ContainerSpec, { hasInit, exactLog }: EngineTraits): Record<string, unknown> {
  const { network, cpus, memoryBytes, pidsLimit } = spec;
  const init = spec.init === "if-available" ? hasInit || undefined : spec.init;
  if (network === "") refuse("network", network, "use none, host, bridge or a network's name");
  if (cpus !== undefined && !(Number.isFinite(cpus) && cpus >= MIN_CPUS)) {
    refuse("number of processors", cpus, `use ${MIN_CPUS} or more`);
  }
  if (memoryBytes !== undefined && !(Number.isSafeInteger(memoryBytes) && memoryBytes >= MIN_MEMORY_BYTES)) {
    refuse("memory limit", memoryBytes, `use ${MIN_MEMORY_BYTES} bytes (6 MiB) or more`);
  }
  if (pidsLimit !== undefined && !(Number.isSafeInteger(pidsLimit) && pidsLimit >= 1)) {
    refuse("limit of processes", pidsLimit, "must be a positive integer");
  }
  return {
    AutoRemove: spec.autoRemove ?? false,
    ...(init !== undefined && { Init: init }),
    ...(spec.exactOutput && exactLog !== undefined && { LogConfig: exactLog }),
    ...(network !== undefined && { NetworkMode: network }),
    ...(cpus !== undefined && { NanoCpus: Math.round(cpus * NANO_PER_CPU) }),
    ...(memoryBytes !== undefined && { Memory: memoryBytes }),
    ...(pidsLimit !== undefined && { PidsLimit: pidsLimit }),
    ...(spec.mounts !== undefined && { Mounts: mounts(spec.mounts) }),
    ...(spec.ports !== undefined && { PortBindings: portBindings(spec.ports) }),
    ...(spec.gpus !== undefined && { DeviceRequests: [deviceRequest(spec.gpus)] }),
    ...(spec.capAdd !== undefined && { CapAdd: capabilities(spec.capAdd) }),
    ...(spec.capDrop !== undefined && { CapDrop: capabilities(spec.capDrop) }),
  };
}

/** `Mounts` and not `Binds`: with `Binds`, the engine would create a missing source directory instead of failing. */
function mounts(wanted: readonly Mount[]): Record<string, unknown>[] {
  const targets = new Set<string>();
  return wanted.map(({ source, target, readOnly = false }) => {
    if (!/^\/[^\0]*[^/\0]/.test(target)) {
      refuse("mount target", target, "use an absolute path in the container, other than /");
    }
    const place = target.replace(/\/+$/, "");
    if (targets.has(place)) refuse("mount target", target, "two mounts have this target");
    targets.add(place);
    const isBind = source.startsWith("/");
    if (!isBind && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(source)) {
      refuse("mount source", source, "use an absolute path, or the name of a volume");
    }
    return { Type: isBind ? "bind" : "volume", Source: source, Target: target, ReadOnly: readOnly };
  });
}

function healthcheck({ cmd, ...check }: HealthcheckSpec): Record<string, unknown> {
  if (cmd.length === 0) refuse("health check", "", "it needs a command");
  const nanoseconds = (name: string, ms: number | undefined): number | undefined => {
    if (ms !== undefined && !(Number.isFinite(ms) && ms >= 1)) {
      refuse(`health check's ${name}`, ms, "use 1 ms or more");
    }
    return ms === undefined ? undefined : Math.round(ms * NANO_PER_MS);
  };
  const { retries } = check;
  if (retries !== undefined && !(Number.isSafeInteger(retries) && retries >= 1)) {
    refuse("health check's number of retries", retries, "must be a positive integer");
  }
  // JSON leaves out what is undefined.
  return {
    Test: ["CMD", ...words("health check", cmd)],
    Interval: nanoseconds("interval", check.intervalMs),
    Timeout: nanoseconds("timeout", check.timeoutMs),
    StartPeriod: nanoseconds("start period", check.startPeriodMs),
    Retries: retries,
  };
}

function labels(wanted: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  let length = 0;
  for (const [name, value] of Object.entries(wanted)) {
    if (name === "") refuse("label", name, "its name is empty");
    length += name.length + value.length;
  }
  if (length > MAX_LABELS_LENGTH) {
    throw new ApexError("usage", `the labels have ${length} characters: use ${MAX_LABELS_LENGTH} or fewer`);
  }
  return wanted;
}

function capabilities(names: readonly string[]): readonly string[] {
  for (const name of names) {
    if (!/^[A-Za-z_]+$/.test(name)) refuse("capability", name, "use a name like NET_ADMIN, or ALL");
  }
  return names;
}

function words(what: string, list: readonly string[]): readonly string[] {
  for (const word of list) {
    if (word.includes("\0")) refuse(what, word.replaceAll("\0", "\\0"), "it contains a NUL");
  }
  return list;
}

function refuse(what: string, value: string | number, remedy: string): never {
  const shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  throw new ApexError("usage", `invalid ${what} ${shown}: ${remedy}`);
}

/** One of `HostConfig.DeviceRequests`. A `Count` of -1 means all GPUs. */
function deviceRequest(gpus: GpuRequest): Record<string, unknown> {
  const request = { Driver: "", Capabilities: [["gpu"]], Options: {} };
  if (typeof gpus === "object") {
    if (gpus.length === 0) {
      throw new ApexError("usage", "the list of GPUs is empty: use ids, a number, or all");
    }
    return { ...request, Count: 0, DeviceIDs: gpus };
  }
  if (gpus !== "all" && !(Number.isSafeInteger(gpus) && gpus >= 1)) {
    throw new ApexError("usage", `invalid number of GPUs ${gpus}: use 1 or more, or all`);
  }
  return { ...request, Count: gpus === "all" ? -1 : gpus };
}

/** For `ExposedPorts`: `{ "80/tcp": {} }`. */
function exposedPorts(ports: readonly PortMapping[]): Record<string, Record<string, never>> {
  return Object.fromEntries(ports.map((port) => [portName(port), {}]));
}

/** For `HostConfig.PortBindings`: `{ "80/tcp": [{ HostIp: "", HostPort: "8080" }] }`. An empty `HostPort`: any free port. */
function portBindings(ports: readonly PortMapping[]): Record<string, unknown[]> {
  const bindings: Record<string, unknown[]> = {};
  for (const port of ports) {
    const { hostIp = "", hostPort } = port;
    checkPort(port.containerPort);
    if (hostPort !== undefined) checkPort(hostPort);
    (bindings[portName(port)] ??= []).push({ HostIp: hostIp, HostPort: hostPort?.toString() ?? "" });
  }
  return bindings;
}

function portName({ containerPort, protocol }: PortMapping): string {
  return `${containerPort}/${protocol}`;
}

function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return;
  throw new ApexError("usage", `invalid port ${port}: use 1 to 65535`);
}
