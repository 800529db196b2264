import type { ControlChannel } from "./control_channel.ts";

/** Waits for `promise` as long as the client does. @throws the signal's reason when the client is gone */
export async function whileThere<T>(promise: Promise<T>, { signal }: ControlChannel): Promise<T> {
  signal.throwIfAborted();
  const gone = Promise.withResolvers<never>();
  const onAbort = (): void => gone.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([promise, gone.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
