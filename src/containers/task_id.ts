/** Labels that name a container's task; the first one that is there wins. The second is an older spelling. */
const TASK_ID_LABELS = ["apex.task-id", "apex.task.id"] as const;

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
