/** A refusal that the client of the embedded engine is meant to see: Docker's status and Docker's words. */
export class HttpError extends Error {
  override readonly name: string = "HttpError";
  /** HTTP status of the reply; the message becomes `{"message": …}`. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}
