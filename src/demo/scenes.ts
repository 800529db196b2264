/** What `apex demo` plays: each scene is one container that lives and ends in a way worth seeing. */

export interface Scene {
  /** Becomes the container's task id, and part of its name. */
  readonly taskId: string;
  /** What is about to happen, for the person who watches. */
  readonly title: string;
  /** The script that the container's shell runs. */
  readonly script: string;
  /** Asked of the engine once the container runs. */
  readonly then?: "kill" | "stop";
  /** A shell command that tells whether the container is well; probed every 200 ms, unhealthy at the second failure. */
  readonly probe?: string;
  /** The event after which the scene is over and its container removed. */
  readonly until: "container.died" | "container.stopped" | "container.health:unhealthy";
}

export const SCENES: readonly Scene[] = [
  {
    taskId: "succeeds",
    title: "A task that does its work and ends.",
    script: "echo hello; sleep 0.3",
    until: "container.died",
  },
  {
    taskId: "fails",
    title: "A task that ends with status 3.",
    script: "sleep 0.3; exit 3",
    until: "container.died",
  },
  {
    taskId: "is-killed",
    title: "A task that somebody kills (docker kill).",
    script: "sleep 60",
    then: "kill",
    until: "container.died",
  },
  {
    taskId: "is-stopped",
    title: "A service that somebody stops (docker stop), and that ends in good order.",
    script: "trap 'exit 0' TERM; while :; do sleep 0.1; done",
    then: "stop",
    until: "container.stopped",
  },
  {
    taskId: "turns-unhealthy",
    title: "A service that breaks while it runs: its health check notices.",
    script: "sleep 0.7; touch broken; sleep 60",
    probe: "test ! -e broken",
    until: "container.health:unhealthy",
  },
];
