/** What a task or container can be waited for to be, or to have done. */
export const WAIT_CONDITIONS = ["exit", "running", "healthy", "unhealthy", "removed"] as const;

export type WaitCondition = (typeof WAIT_CONDITIONS)[number];
