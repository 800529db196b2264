/** The labels that apex puts on the containers that it creates, and the task id that a container's labels or name give. */

/** On each container of a task or a session: `true`. */
export const MANAGED_LABEL = "apex.managed";

/**
 * On each container that apex creates: the id of the apex instance. Only that instance adopts, ends and removes the
 * container. Versions of apex before instance ids did not set it; their containers belong to no instance.
 */
export const INSTANCE_LABEL = "apex.instance";

/** On the container of a task: its id. */
export const TASK_ID_LABEL = "apex.task-id";

/** On the container of a session: its name. */
export const SESSION_LABEL = "apex.session";

/** Labels that may hold a task id; the first one present counts. The second is an older spelling. */
const TASK_ID_LABELS = [TASK_ID_LABEL, "apex.task.id"] as const;

const TASK_NAME_PREFIX = "apex-task-";

/**
 * The task that a container belongs to: the label `apex.task-id`, else its alias `apex.task.id`, else what follows
 * `apex-task-` in the container's name. An empty value counts as absent.
 *
 * @param name without the leading slash
 */
export function taskIdOf(name: string, labels: Readonly<Record<string, string>>): string | undefined {
  for (const label of TASK_ID_LABELS) {
    if (Object.hasOwn(labels, label) && labels[label] !== "") return labels[label];
  }
  if (name.startsWith(TASK_NAME_PREFIX) && name.length > TASK_NAME_PREFIX.length) {
    return name.slice(TASK_NAME_PREFIX.length);
  }
  return undefined;
}
