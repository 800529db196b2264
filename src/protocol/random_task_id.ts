/** Without characters that look alike. */
const ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";
const LENGTH = 8;

/** A task id that nobody has chosen, `k3v9x2ab` for example; some 10¹² are possible. */
export function randomTaskId(): string {
  const random = crypto.getRandomValues(new Uint32Array(LENGTH));
  return Array.from(random, (number) => ALPHABET[number % ALPHABET.length]).join("");
}
