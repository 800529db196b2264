import type { CloseReason, SubscriberConnection } from "../../eventlog/subscription.ts";
import type { ControlChannel } from "./control_channel.ts";

/**
 * What a subscription of the event log writes through on the control socket. It is subscribed before the reply line is sent,
 * so that it misses nothing that follows on the reply; what it writes waits until {@linkcode LineConnection.serve}.
 */
export class LineConnection implements SubscriberConnection {
  readonly #channel = Promise.withResolvers<ControlChannel>();
  readonly #closed = Promise.withResolvers<CloseReason>();

  async write(bytes: Uint8Array): Promise<number> {
    const channel = await this.#channel.promise;
    return await channel.write(bytes);
  }

  /** The server closes the connection itself, when {@linkcode LineConnection.serve} is over. */
  close(): void {}

  /** For the subscription's `onClose`. */
  readonly closed = (reason: CloseReason): void => this.#closed.resolve(reason);

  /** Lets it write; resolves when the subscription is over. @param hungUp is called once the client is gone */
  async serve(channel: ControlChannel, hungUp: () => void): Promise<void> {
    this.#channel.resolve(channel);
    if (channel.signal.aborted) hungUp();
    else channel.signal.addEventListener("abort", hungUp);
    const reason = await this.#closed.promise;
    channel.signal.removeEventListener("abort", hungUp);
    // A write may be in flight that the client does not take.
    if (reason !== "finished") channel.end(new Error(`the subscription is over: ${reason}`));
  }
}
