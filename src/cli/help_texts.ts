/**
 * The help texts of the verbs, at most 80 columns wide. The first line is the summary, which `apex --help` lists. The rest
 * follows the options in the help of the verb: explanations and examples.
 */

export const PROGRAM = `run commands in containers, and stream every event as JSON

Exit status:
  0 success, 1 failure, 2 invalid usage, 3 no daemon is running, 4 not found,
  5 busy or conflict, 6 the event stream ended early, 124 timeout,
  130 interrupted
  run, attach and wait: the status of the command, or 125 if apex itself fails

Get started:
  apex demo                   # see how it works; needs no container engine
  apex run -- echo hello      # run a command in a container
  apex events | jq -c 'select(.type == "container.died")'

Run 'apex help VERB' for more information on a verb.`;

export const DAEMON = `run the daemon, in the foreground or in the background

Engines:
  auto        DOCKER_HOST, DOCKER_CONTEXT, the current Docker context, then the
              default sockets of Docker and Podman (the default)
  docker      like auto, but only Docker
  podman      the default sockets of Podman
  embedded    run local processes as containers, without isolation; never
              selected by auto
  unix://...  the socket of an engine

In the background (-d), the daemon logs to daemon.log in the state directory,
and exits if it cannot reach its engine. In the foreground it logs to standard
error, and keeps trying. If a daemon is already running, the exit status is 5.

Examples:
  apex daemon
  apex daemon -d --engine podman`;

export const STOP = `stop the daemon; tasks and sessions continue

The next daemon finds the tasks and sessions, and publishes the changes made in
the meantime. The exit status is 3 if no daemon is running.`;

export const RESTART = `stop the daemon, and start it again in the background

Tasks and sessions continue, and clients that reconnect resume. The options
given here override those that the daemon was started with. If no daemon is
running, one is started.

Examples:
  apex restart                             # after an update of apex
  apex restart --engine podman             # to follow another engine`;

export const EVENTS = `print events as they happen, one JSON object per line

Without options, prints the events from now on. Exits with 0 when the daemon
shuts down, or when the reader closes the pipe. Exits with 6 when the stream
ends early: the reader was too slow, the daemon has too many subscribers, or the
daemon was killed.

With any of the options from --type to --heartbeat, a slow reader is not
disconnected: it gets older events from the journal. Missing events are reported
as a line of type "stream.gap". --reconnect waits indefinitely. If the cursor
file exists, it takes precedence over --after and --since. Times without a zone
are local.

Examples:
  apex events | jq -c .
  apex events --task build-7 --type 'task.*'
  apex events --reconnect --cursor-file ~/.my-cursor | my-consumer
  apex events --type container.died | jq -r '[.containerName, .exitCode] | @tsv'

  # Wait for a container of a task to exit, or find an exit of the last hour:
  apex events --type container.died --task build-7 --since 1h --limit 1`;

export const HISTORY = `print events of the past, oldest first

--since and --until select events by when the daemon published them
("publishedAt"). The event itself ("timestamp") may be earlier. Times are 10m,
"10m ago", 2025-01-31, "2025-01-31 12:00" or 2025-01-31T12:00:00Z; without a
zone they are local, as in the table. By default, the daemon keeps the events of
7 days, up to 256 MiB.

Examples:
  apex history --since 1h
  apex history --task build-7
  apex history --type container.died --since 2025-01-31 --until 2025-02-01
  apex history --type container.died --json | jq -r .containerName`;

export const PS = `list the containers of the engine, running or not

Examples:
  apex ps
  apex ps --json | jq -r '.[] | select(.state == "running") | .name'`;

export const RUN = `run a command in a new container

Options end at the command, or at --. SIGINT (Ctrl-C) and SIGTERM are forwarded
to the command; a second SIGINT kills it. If apex run itself is killed, the task
continues (see: apex wait, apex logs, apex cancel). If the daemon goes away,
apex run waits 30 seconds for another one, starts one itself after 2 seconds
(unless -D is given), and loses no output.

Without -i, the command's standard input is empty, as with docker run. With -i,
the input ends when this client or the daemon ends. For a terminal, use
apex attach; -t is refused.

The embedded engine refuses limits, users, networks, ports, volumes, and images
other than busybox. With --mount, it runs the command in the current directory.

Sizes: 512m, 1.5g, 64MiB. Durations: 90s, 1h30m, 2d.

Exit status: that of the command, or
  124       stopped by --timeout
  125       failure of apex itself
  126, 127  the command cannot be executed, or was not found
  130       cancelled, and the command exited with 0 or never ran
  137       killed

Examples:
  apex run -- echo hello
  apex run --image node:22 --mount -- npm test
  apex run --task build-7 --memory 512m --timeout 10m -e CI=1 -- make
  apex run -v ./src:/src:ro -w /src --image golang -- go test ./...
  apex run --env-file .env -p 127.0.0.1:8080:80 --image nginx \\
      -- nginx -g 'daemon off;'
  tar c src | apex run -i --image node:22 -- sh -c 'tar x && ls src'
  id=$(apex run -d -- sleep 60); apex wait "$id"; echo "status $?"`;

export const TASKS = `list tasks

Examples:
  apex tasks
  apex tasks --all --json | jq -r '.[] | select(.reason == "oom") | .taskId'`;

export const CANCEL = `cancel tasks, pending or running

Prints the id of each cancelled task when it has ended. If some ids are unknown,
cancels the others, and exits with 4. Containers of other programs are not
cancelled, even if they have the label of a task.

Examples:
  apex cancel build-7
  apex tasks --json | jq -r '.[].taskId' | xargs apex cancel`;

export const WAIT = `wait until tasks or containers end, or meet a condition

TARGET is the id of a task, one run of a task (build-7@1), or the name or id of
any container.

The default condition, exit, is met when the container and its task have ended.
If the condition is already met, apex wait returns at once. If it can no longer
be met (because the container has no health check, has ended, or was removed),
apex wait fails at once. If the daemon goes away, it waits 30 seconds for
another one. With several targets, it prints a line "TARGET STATUS" for each.

Exit status: the status of the target, as apex run reports it; 0 for conditions
other than exit. With several targets, the first status that is not 0, in the
given order; with --any, that of the first target to meet the condition.
  124  --timeout has passed
  125  failure of apex itself

Examples:
  apex wait build-7
  apex wait --timeout 10m build-7 || echo "failed, or still running"
  apex wait --for healthy --timeout 1m db cache
  apex wait --any worker-1 worker-2`;

export const LOGS = `print the output of a task or container

TARGET is the id of a task, one run of a task, or the name or id of a container:
build-7 is the latest run of that task id, build-7@1 the first, and build-7@-1
the one before the latest. If the container of a task was removed, prints the
stored end of the output (1 MiB by default). The container's standard error is
printed on standard error.

If the daemon goes away, --follow waits 30 seconds for another one, and resumes.

Examples:
  apex logs build-7
  apex logs -f --tail 20 build-7
  apex logs build-7@-1
  apex logs --since 10m --timestamps web`;

export const INSPECT = `print all details of tasks or containers as JSON

TARGET is the id of a task, one run of a task (build-7@1, build-7@-1), or the
name or id of a container. Each element of the JSON array has the fields
  engine     the container, as the engine reports it
  container  the container, as apex knows it
  task       the task, as apex knows it
  output     stored output of a task whose container was removed
  others     other runs and containers with the same task id

Examples:
  apex inspect build-7 | jq '.[0].task'
  apex inspect web | jq -r '.[0].engine.NetworkSettings.IPAddress'`;

export const WORKSPACES = `list or remove the containers of tasks

A workspace is a container that apex has created for a task. An orphan is a
workspace of this apex instance whose task the daemon does not know; to remove
orphans, use apex workspaces clean. Each state directory is one apex instance;
apex status shows its id. Workspaces of other instances, such as those
of other users of the same engine, are listed only with --all.

Examples:
  apex workspaces
  apex workspaces --all
  apex workspaces --json | jq -r '.[] | select(.orphaned) | .containerName'`;

export const WORKSPACES_CLEAN = `remove orphaned or named workspaces

WORKSPACE is the name or id of a container, or the id of its task. Asks for
confirmation; without a terminal, --yes is required. Prints the name of each
removed container.

With --instance, removes all workspaces of another apex instance, even if its
daemon is still running. ID is a value of the column INSTANCE of
apex workspaces --all; "-" selects containers without an instance.

Examples:
  apex workspaces clean
  apex workspaces clean --yes apex-task-build-7
  apex workspaces clean --instance 9f86d081884c7d65`;

export const ATTACH = `attach to a session, or create one

A session that does not exist is created with the given options. To detach,
press Ctrl-Space Ctrl-q. The session also continues when this terminal is
closed, the connection is lost, or the daemon is killed. Without a terminal,
apex attach works as a pipe: the end of its input does not detach it, and
earlier output is not shown unless --restore is given.

Exit status: the status of the session's command; 0 if the session continues;
125 if apex itself fails, for example because another client is attached.

Examples:
  apex attach dev
  apex attach dev --image debian --mount --ttl 8h -- bash -l
  apex attach -b build -e CI=1 --cmd 'sh -c "make; exec sh"'
  apex attach -f dev                       # take over from another terminal`;

export const LIST = `list sessions

Examples:
  apex list
  apex list --json | jq -r '.[] | select(.status == "detached") | .name'`;

export const DETACH = `detach the clients of sessions; the sessions continue

Without a name, detaches the session in which apex runs ($APEX_SESSION_NAME). If
some names are unknown, detaches the others, and exits with 4.

Examples:
  apex detach dev`;

export const KILL = `end sessions

Sends SIGHUP, as a closed terminal does, which ends an idle shell at once. Sends
SIGTERM after one second, and SIGKILL after the grace period (kill_grace in the
configuration, 10s by default). Returns when the sessions have ended.

Without a name, kills the session in which apex runs ($APEX_SESSION_NAME). If
some names are unknown, kills the others, and exits with 4.

Examples:
  apex kill dev
  apex list --json | jq -r '.[].name' | xargs apex kill`;

export const ENGINE = `run the embedded engine in the foreground

Serves the Docker Engine API on a Unix socket, with local processes as
containers. It isolates nothing: containers can do whatever you can. A daemon
with --engine embedded starts it automatically.`;

export const DEMO = `show how apex works; needs no container engine

Starts a temporary daemon with the embedded engine, runs containers that
succeed, fail, are killed, are stopped and become unhealthy, prints and explains
their events, and cleans up.`;
