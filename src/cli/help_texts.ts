/** What stands below the options in the help: examples, and what an option's line has no room for. */

export const PROGRAM_HELP = `
Exit status:
  0 done, 1 failed, 2 usage, 3 no daemon, 4 no such name, 5 busy or conflict,
  6 the stream ended before it should, 124 timeout, 130 interrupted;
  run passes on the command's own, and has 125 for every failure of apex itself

Start with:
  apex demo                                see it work; needs nothing installed
  apex run -- echo hello                   run a command in a container
  apex events | jq -c 'select(.type == "container.died")'`;

export const DAEMON_HELP = `
Engines:
  auto        DOCKER_HOST, DOCKER_CONTEXT, the current Docker context, then the usual sockets
  docker      the same, Docker's only
  podman      Podman's sockets
  embedded    containers are local processes, nothing is isolated, and what that cannot do is refused; auto never takes it
  unix://…    that socket

A daemon in the background has its log in daemon.log in the state directory, and ends when it does not reach its engine; one
in the foreground keeps trying. Where a daemon runs already, it is an error (5).`;

export const STOP_HELP = `
The next daemon finds tasks and sessions as they are then, and publishes what happened meanwhile. Ends with 3 when no daemon
runs.`;

export const RESTART_HELP = `
Tasks and sessions go on, and so do consumers that reconnect. Options that are given here win over those that the daemon was
started with. Where no daemon runs, one is started.

Examples:
  apex restart                             after an update of apex
  apex restart --engine podman             follow another engine`;

export const EVENTS_HELP = `
Without options it prints the bare stream. It ends with 0 when the daemon shuts down or the reader of its output goes away,
and with 6 when the stream broke off: this reader was too slow, or the daemon was killed.

With any of the options above --engine the daemon reads on from its journal for a slow reader, and what is missing all the
same is printed as a line of type "stream.gap". --reconnect waits for as long as it takes; with --cursor-file, a cursor that
is there wins over --after and --since. A time without a zone is local.

Examples:
  apex events | jq -c .
  apex events | jq -r 'select(.type == "container.died") | "\\(.containerName) \\(.exitCode)"'
  apex events --task build-7 --type 'task.*'
  apex events --reconnect --cursor-file ~/.my-consumer | my-consumer
  apex events --type container.died --task build-7 --since 1h --limit 1 --timeout 5m
                                           wait for one; one of the last hour will do`;

export const HISTORY_HELP = `
Times are those of publishing: "10m ago" or 10m, 2025-01-31, "2025-01-31 12:00", 2025-01-31T12:00:00Z; without a zone they
are local, as are those in the table. The daemon keeps 7 days or 256 MiB, unless configured otherwise. "publishedAt" is when an
event was told, "timestamp" when it happened.

Examples:
  apex history --since 1h
  apex history --task build-7
  apex history --type container.died --since 2025-01-31 --until 2025-02-01 --json | jq -r .containerName | sort | uniq -c`;

export const PS_HELP = `
Examples:
  apex ps
  apex ps --json | jq -r '.[] | select(.state == "running") | .name'`;

export const RUN_HELP = `
Options end at the command, or at --. SIGINT (Ctrl-C) and SIGTERM are passed on to the command; a second SIGINT kills it.
If apex run itself ends, the task continues (see: apex wait, apex logs, apex cancel). If the daemon goes away, apex run waits
30 s for another one, starts one if none comes within 2 s (unless -D), and loses no output.

Standard input is only read with -i, as with docker run. It ends with this client and with the daemon: it cannot be resumed.
The command has no terminal (-t); apex attach opens one.

The embedded engine refuses what it cannot do: limits, users, networks, ports, mounts, and images other than busybox. With
--mount it starts the command in the directory itself.

Sizes: 512m, 1.5g, 64MiB. Times: 90s, 1h30m, 2d.

Exit status: the command's own; 124 when --timeout stopped it; 125 for every failure of apex itself;
126 and 127 when the command cannot be executed or is not there; 137 when it was killed; 130 when it was cancelled and
ended with 0, or never ran.

Examples:
  apex run -- echo hello
  apex run --image node:22 --mount -- npm test
  apex run --task build-7 --memory 512m --timeout 10m -v ./src:/src:ro -w /src -e CI=1 -- make
  tar c src | apex run -i --image node:22 -- sh -c 'tar x && npm test'
  apex run --env-file .env -p 127.0.0.1:8080:80 --label tier=web --image nginx -- nginx -g 'daemon off;'
  id=$(apex run -d -- sleep 60); apex wait "$id"; echo "ended with $?"`;

export const TASKS_HELP = `
Examples:
  apex tasks
  apex tasks --all --json | jq -r '.[] | select(.reason == "oom") | .taskId'`;

export const CANCEL_HELP = `
Prints the id of each task that it cancelled, once it has ended. Unknown ids are reported, and the others are still cancelled;
the exit status is then 4. Containers that other programs created are not cancelled, whatever their label says.

Examples:
  apex cancel build-7
  apex tasks --json | jq -r '.[].taskId' | xargs apex cancel`;

export const WAIT_HELP = `
TARGET is a task's id, one run of it (build-7@1), or a container's name or id; apex need not have created it.

--for exit (the default) waits until it has ended, and for a task until the task has ended; running, healthy, unhealthy: until
it is so; removed: until the container is gone. What has happened already counts. When the condition can no longer be met (the
container has no health check, has ended, or was removed), apex wait fails at once and says why. When the daemon goes away, it
waits 30 s for another one, and continues.

Exit status: with --for exit the target's own, as apex run has it, never 0 for a task that was cancelled; otherwise 0. Of
several targets, the first one in their order that is not 0; with --any, that of the first to get ready. 124 when --timeout is
over; 125 for every failure of apex wait itself. With several targets, it prints a line "TARGET STATUS" as each gets ready.

Examples:
  apex wait build-7
  apex wait --timeout 10m build-7 || echo "failed, or still running"
  apex wait --for healthy --timeout 1m db cache
  apex wait --any worker-1 worker-2`;

export const LOGS_HELP = `
TARGET is a task's id, one run of it, or a container's name or id: build-7 is the last run of that task id, build-7@1 the
first, build-7@-1 the one before the last. Of a task whose container was removed, it prints the end of the output that apex
kept: 1 MiB, unless configured otherwise. Standard error is printed on standard error.
When the daemon goes away, -f waits 30 s for another one, and continues where it stopped.

Examples:
  apex logs build-7
  apex logs -f --tail 20 build-7
  apex logs build-7@-1
  apex logs --since 10m --timestamps web`;

export const INSPECT_HELP = `
TARGET is a task's id, one run of it (build-7@1, build-7@-1), or a container's name or id. Prints one JSON array of objects:
"engine" is what the engine says of the container, "container" and "task" what apex knows, "output" how much is kept of the
output of a task whose container was removed, "others" what else has that task id.

Examples:
  apex inspect build-7 | jq '.[0].task'
  apex inspect web | jq -r '.[0].engine.NetworkSettings.IPAddress'`;

export const WORKSPACES_HELP = `
An orphan is a container that this apex instance created, and that belongs to no task that its daemon knows: apex workspaces
clean removes it. An instance is a state directory and its daemons; apex status shows its id. Containers of other instances,
such as another user's on the same engine, are listed with --all alone.

Examples:
  apex workspaces
  apex workspaces clean
  apex workspaces --all
  apex workspaces --json | jq -r '.[] | select(.orphaned) | .containerName'`;

export const WORKSPACES_CLEAN_HELP = `
NAME is a container's name or id, or its task's id. Asks first; where there is no terminal, --yes must be said. Prints the
name of each container that it removed.

--instance removes the containers that another apex instance created for tasks, whether or not its daemon still runs. ID is
as apex workspaces --all shows it, also where that is "-".

Examples:
  apex workspaces clean
  apex workspaces clean --yes apex-task-build-7
  apex workspaces clean --instance 9f86d081884c7d65`;

export const ATTACH_HELP = `
NAME is a session's; where there is none of that name it is created, with the options. Ctrl-Space Ctrl-q leaves it: it goes
on, as it does when this terminal is closed, the connection is lost, or the daemon is killed. Without a terminal it works
as a pipe: the end of the input leaves it attached, and nothing is shown of what was there before (--restore screen does).

Exit status: that of the session's command when it ended; 0 when the session goes on without this client; 125 for every
failure of apex itself, "already attached" among them.

Examples:
  apex attach dev
  apex attach dev --image debian --mount --ttl 8h -- bash -l
  apex attach -b build -e CI=1 --cmd 'sh -c "make; exec sh"'
  apex attach -f dev                       from another terminal`;

export const LIST_HELP = `
Examples:
  apex list
  apex list --json | jq -r '.[] | select(.status == "detached") | .name'`;

export const DETACH_HELP = `
Without a name it is the session in which this runs ($APEX_SESSION_NAME). With a name that no session has it does the others
all the same, and ends with 4.

Examples:
  apex detach dev`;

export const KILL_HELP = `
SIGHUP comes first, as when a terminal is closed: it ends an idle shell at once. What ignores it gets SIGTERM after a second, and
SIGKILL when the grace is over (kill_grace in the configuration, 10s).

Without a name it is the session in which this runs ($APEX_SESSION_NAME). Unknown names are reported, and the others are still
killed; the exit status is then 4. Returns when they are gone.

Examples:
  apex kill dev
  apex list --json | jq -r '.[].name' | xargs apex kill`;
