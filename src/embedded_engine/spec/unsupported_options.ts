/**
 * Refuses what a request asks for and this engine does not support. The engine isolates nothing: a container is a process
 * of this user, with this machine's files and network. So each field of a request is either supported, or is listed here
 * because it changes nothing for such a process. Every other field is refused by name, unless it has Go's zero value.
 */
import { HttpError } from "../http/http_message.ts";

/** Whether a value is supported, or changes nothing. */
type Accepts = (value: unknown) => boolean;

const always: Accepts = () => true;
const oneOf = (...words: readonly string[]): Accepts => (value) => words.includes(value as string);
const isUnlimited: Accepts = (value) => typeof value === "number" && value <= 0;
const hasOnly = (fields: Readonly<Record<string, Accepts>>): Accepts => (value) =>
  typeof value === "object" && unsupportedFields(value ?? {}, fields).length === 0;
const isAllEmpty = hasOnly({});
const supported = (...fields: readonly string[]): Readonly<Record<string, Accepts>> =>
  Object.fromEntries(fields.map((field) => [field, always]));

/** The fields that containers and execs share. */
const PROCESS = supported("Cmd", "Env", "WorkingDir", "Tty", "AttachStdin", "AttachStdout", "AttachStderr");

const CONFIG: Readonly<Record<string, Accepts>> = {
  ...PROCESS,
  ...supported("Image", "Entrypoint", "Labels", "HostConfig"),
  ...supported("StopSignal", "StopTimeout", "OpenStdin", "StdinOnce"),
  // `checkOwnUser` refuses other users.
  User: always,
  Healthcheck: hasOnly(supported("Test", "Interval", "Timeout", "StartPeriod", "Retries")),
  // Only a declaration; a program listens on this machine's ports in any case.
  ExposedPorts: always,
  // Only for Windows.
  ArgsEscaped: always,
  NetworkingConfig: hasOnly({
    EndpointsConfig: (endpoints) =>
      Object.entries(endpoints as object).every(([name, settings]) =>
        isNetwork(name) && isAllEmpty(settings ?? {})
      ),
  }),
};

/** A container uses this machine's network. `none` is accepted with a warning, for scripts that run on every engine. */
const isNetwork: Accepts = oneOf("default", "host", "none");

const HOST_CONFIG: Readonly<Record<string, Accepts>> = {
  ...supported("AutoRemove", "RestartPolicy", "ConsoleSize"),
  // `bind_mounts.ts` refuses the mounts that are impossible.
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
  // No container here is process 1, so signals have their default effects, and the machine's init reaps orphans.
  Init: always,
  // The client writes that file.
  ContainerIDFile: always,
};

const MOUNT_OPTIONS: Readonly<Record<string, Accepts>> = {
  // Only for Docker on a Mac.
  Consistency: always,
  BindOptions: isAllEmpty,
  // `bind_mounts.ts` refuses volumes and tmpfs.
  VolumeOptions: always,
  TmpfsOptions: always,
};

const EXEC: Readonly<Record<string, Accepts>> = {
  ...PROCESS,
  ...supported("User", "ConsoleSize", "Detach"),
  // Keys that detach a client from an exec; this engine passes them to the program.
  DetachKeys: always,
};

/** What a refused field asks for. Fields without an entry are only named. */
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

/** @throws {HttpError} 400 with the names of all unsupported options of a create request */
export function checkCreateOptions(create: object): void {
  const host = "HostConfig" in create ? create.HostConfig ?? {} : {};
  refuse([
    ...unsupportedFields(create, CONFIG),
    ...unsupportedFields(host, HOST_CONFIG).map((field) => `HostConfig.${field}`),
  ]);
}

/** @throws {HttpError} 400 with the names of all unsupported options of an exec request */
export function checkExecOptions(exec: object): void {
  refuse(unsupportedFields(exec, EXEC));
}

/** @param options of a mount, without `Type`, `Source`, `Target` and `ReadOnly` */
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

/** @param what the purpose and the field, for example `limit memory (HostConfig.Memory)` */
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

/** The fields with a value that is neither accepted nor a zero value. */
function unsupportedFields(asked: object, fields: Readonly<Record<string, Accepts>>): string[] {
  return Object.entries(asked)
    .filter(([field, value]) => !isEmpty(value) && fields[field]?.(value) !== true)
    .map(([field]) => field);
}

/** Go's zero values, which clients send for options that were not given. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/**
 * Checks that a process may run as `user`: every process here runs as the user of the engine.
 * @param user `NAME` or `UID`, either with `:GROUP`; empty: the user of the engine
 * @throws {HttpError} 400 for another user or group
 */
export async function checkOwnUser(user: string): Promise<void> {
  if (user === "") return;
  const [name = "", group] = user.split(":");
  const isOwn = await isNameOf(name, Deno.uid(), "/etc/passwd") &&
    (group === undefined || await isNameOf(group, Deno.gid(), "/etc/group"));
  if (!isOwn) throw cannot(`run a process as another user than its own (User: ${user})`);
}

/** @param table a file whose first column is a name, and whose third column is the id of that name */
async function isNameOf(name: string, id: number | null, table: string): Promise<boolean> {
  if (name === String(id)) return true;
  const lines = (await Deno.readTextFile(table)).split("\n").map((line) => line.split(":"));
  return lines.some(([known, , knownId]) => known === name && knownId === String(id));
}
