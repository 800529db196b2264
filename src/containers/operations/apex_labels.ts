/** On each container that apex creates for a task or a session: `true`. */
export const MANAGED_LABEL = "apex.managed";

/**
 * On each container that apex creates: the id of the instance that did, which alone adopts it, ends it and removes it.
 * Containers of an apex that did not have ids yet have none; they belong to no instance.
 */
export const INSTANCE_LABEL = "apex.instance";

/** On the container of a task: its id. */
export const TASK_ID_LABEL = "apex.task-id";

/** On the container of a session: its name. */
export const SESSION_LABEL = "apex.session";
