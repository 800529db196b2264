/** Where engines put their sockets on Linux and macOS, the most usual first. */

type Env = (name: string) => string | undefined;

/** Docker's, and those of the tools that bring Docker along. */
export function dockerSockets(env: Env): string[] {
  return [
    "/var/run/docker.sock",
    ...below(env("XDG_RUNTIME_DIR"), ["docker.sock"]),
    ...below(env("HOME"), [
      ".docker/run/docker.sock", // Docker Desktop
      ".docker/desktop/docker.sock", // Docker Desktop on Linux
      ".orbstack/run/docker.sock",
      ".rd/docker.sock", // Rancher Desktop
      ".colima/default/docker.sock",
      ".lima/default/sock/docker.sock",
    ]),
  ];
}

/** Podman's: rootless, as a service of the system, and of its virtual machine. */
export function podmanSockets(env: Env): string[] {
  return [
    ...below(env("XDG_RUNTIME_DIR"), ["podman/podman.sock"]),
    "/run/podman/podman.sock",
    ...below(env("HOME"), [".local/share/containers/podman/machine/podman.sock"]),
  ];
}

/** Nothing when no variable names the directory. */
function below(directory: string | undefined, paths: readonly string[]): string[] {
  return directory ? paths.map((path) => `${directory}/${path}`) : [];
}
