/**
 * What a request asks for and this engine cannot do. It isolates nothing: a container is a process of this user, which
 * sees this machine's files and network. So each field of a request is either honoured, or known to change nothing
 * here, or refused by name; one that is not listed here is refused as soon as it asks for anything.
 */
import { HttpError } from "../http/http_error.ts";

/** Whether a value can be honoured, or changes nothing here. */
type Accepts = (value: unknown) => boolean;

const always: Accepts = () => true;
const oneOf = (...words: readonly string[]): Accepts => (value) => words.includes(value as string);
const isUnlimited: Accepts = (value) => typeof value === "number" && value <= 0;
const hasOnly = (fields: Readonly<Record<string, Accepts>>): Accepts => (value) =>
  typeof value === "object" && unsupportedFields(value ?? {}, fields).length === 0;
const isAllEmpty = hasOnly({});

const CONFIG: Readonly<Record<string, Accepts>> = {
  Image: always,
  Cmd: always,
  Entrypoint: always,
  Env: always,
  Labels: always,
  WorkingDir: always,
  StopSignal: always,
  StopTimeout: always,
  Tty: always,
  OpenStdin: always,
  StdinOnce: always,
  AttachStdin: always,
  AttachStdout: always,
  AttachStderr: always,
  // Checked against this user, see `own_user.ts`.
  User: always,
  Healthcheck: hasOnly({
    Test: always,
    Interval: always,
    Timeout: always,
    StartPeriod: always,
    Retries: always,
  }),
  HostConfig: always,
  // Only declares what a program listens on; its ports are this machine's anyhow.
  ExposedPorts: always,
  // Of Windows.
  ArgsEscaped: always,
  NetworkingConfig: hasOnly({
    EndpointsConfig: (endpoints) =>
      Object.entries(endpoints as object).every(([name, settings]) =>
        isNetwork(name) && isAllEmpty(settings ?? {})
      ),
  }),
};

/** A container shares this machine's network. `none` is accepted for scripts that run on every engine, with a warning. */
const isNetwork: Accepts = oneOf("default", "host", "none");

const HOST_CONFIG: Readonly<Record<string, Accepts>> = {
  AutoRemove: always,
  RestartPolicy: always,
  ConsoleSize: always,
  // Those that cannot be made are refused by `bind_mounts.ts`.
  Binds: always,
  Mounts: always,
  NetworkMode: isNetwork,
  IpcMode: oneOf("host"),
  PidMode: oneOf("host"),
  UTSMode: oneOf("host"),
  UsernsMode: oneOf("host"),
  CgroupnsMode: oneOf("host"),
  Isolation: oneOf("default"),
  PidsLimit: isUnlimited,
  MemorySwap: isUnlimited,
  MemorySwappiness: isUnlimited,
  LogConfig: hasOnly({ Type: oneOf("json-file") }),
  // No container here is process 1: it heeds signals, and the machine's own init reaps its orphans.
  Init: always,
  // The client has written that file itself.
  ContainerIDFile: always,
};

const MOUNT_OPTIONS: Readonly<Record<string, Accepts>> = {
  // How fresh a mount has to be on a Mac; here it is the directory itself.
  Consistency: always,
  BindOptions: isAllEmpty,
  // A volume and a tmpfs are refused as such.
  VolumeOptions: always,
  TmpfsOptions: always,
};

const EXEC: Readonly<Record<string, Accepts>> = {
  Cmd: always,
  Env: always,
  WorkingDir: always,
  User: always,
  Tty: always,
  AttachStdin: always,
  AttachStdout: always,
  AttachStderr: always,
  ConsoleSize: always,
  // Keys that leave an exec; here they go to its program.
  DetachKeys: always,
  Detach: always,
};

/** What a refused field asks for; others are named only. */
const PURPOSES: Readonly<Record<string, string>> = {
  "Hostname": "give a container a host name",
  "Volumes": "make volumes",
  "HostConfig.Memory": "limit memory",
  "HostConfig.MemorySwap": "limit memory",
  "HostConfig.MemoryReservation": "limit memory",
  "HostConfig.NanoCpus": "limit processors",
  "HostConfig.CpuPeriod": "limit processors",
  "HostConfig.CpuQuota": "limit processors",
  "HostConfig.CpuShares": "limit processors",
  "HostConfig.CpusetCpus": "limit processors",
  "HostConfig.PidsLimit": "limit the number of processes",
  "HostConfig.Ulimits": "set resource limits",
  "HostConfig.CapAdd": "change capabilities",
  "HostConfig.CapDrop": "change capabilities",
  "HostConfig.Privileged": "change privileges",
  "Privileged": "change privileges",
  "HostConfig.SecurityOpt": "change privileges",
  "HostConfig.NetworkMode": "join a network other than this machine's",
  "NetworkingConfig": "join a network other than this machine's",
  "HostConfig.PortBindings": "publish ports",
  "HostConfig.PublishAllPorts": "publish ports",
  "HostConfig.Devices": "pass devices on",
  "HostConfig.DeviceRequests": "pass GPUs on",
  "HostConfig.Tmpfs": "mount a tmpfs",
  "HostConfig.VolumesFrom": "mount volumes",
  "HostConfig.ReadonlyRootfs": "make the file system read-only",
  "HostConfig.LogConfig": "log otherwise than in JSON files",
};

/** @throws {HttpError} 400 naming every option of a create request that cannot be honoured */
export function checkCreateOptions(create: object): void {
  const host = "HostConfig" in create ? create.HostConfig ?? {} : {};
  refuse([
    ...unsupportedFields(create, CONFIG),
    ...unsupportedFields(host, HOST_CONFIG).map((field) => `HostConfig.${field}`),
  ]);
}

/** @throws {HttpError} 400 naming every option of an exec request that cannot be honoured */
export function checkExecOptions(exec: object): void {
  refuse(unsupportedFields(exec, EXEC));
}

/** @param options of a mount, without its type, source, target and `ReadOnly` */
export function checkMountOptions(options: object): void {
  refuse(unsupportedFields(options, MOUNT_OPTIONS).map((field) => `HostConfig.Mounts.${field}`));
}

/** @throws {HttpError} 400 for a platform other than this machine's */
export function checkPlatform(query: URLSearchParams): void {
  const platform = query.get("platform") ?? "";
  const own = [Deno.build.os, Deno.build.arch === "x86_64" ? "amd64" : "arm64"];
  if (platform === "" || platform.split("/").slice(0, 2).every((part, index) => part === own[index])) return;
  throw cannot(`run programs for ${platform} (platform)`);
}

/** @param what `limit memory (HostConfig.Memory)`: what was asked for, and by which field */
export function cannot(what: string): HttpError {
  return new HttpError(400, `the embedded engine cannot ${what}: leave that out, or use Docker or Podman`);
}

function refuse(fields: readonly string[]): void {
  if (fields.length === 0) return;
  const byPurpose = Map.groupBy(fields, (field) => PURPOSES[field] ?? "honour an option");
  throw cannot(
    [...byPurpose].map(([purpose, names]) => `${purpose} (${names.join(", ")})`).join(", nor "),
  );
}

/** The fields that ask for something, and are not accepted. */
function unsupportedFields(asked: object, fields: Readonly<Record<string, Accepts>>): string[] {
  return Object.entries(asked)
    .filter(([field, value]) => !isEmpty(value) && fields[field]?.(value) !== true)
    .map(([field]) => field);
}

/** Go's zero values: clients send them for what nobody asked for. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
