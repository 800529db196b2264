import { ApexError } from "../../platform/apex_error.ts";

/**
 * The words of a command line as a shell would part them, quotes and backslashes heeded; nothing is expanded, and no shell
 * ever sees it: `sh -c 'echo "$HOME"'` is three words.
 *
 * @throws {ApexError} `usage` for a quote without its end, and for no word at all
 */
export function commandWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const [, single, double, escaped, blank, plain] of text.matchAll(PARTS)) {
    if (blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") +
        (single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? unquoted(plain!, text));
    }
  }
  if (word !== undefined) words.push(word);
  if (words.length > 0) return words;
  throw new ApexError("usage", `${JSON.stringify(text)} is not a command`);
}

/** In single quotes, in double quotes, behind a backslash, blank, or anything else. */
const PARTS = /'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|(\s+)|([^])/g;

function unquoted(character: string, text: string): string {
  if (character !== "'" && character !== '"' && character !== "\\") return character;
  throw new ApexError("usage", `${JSON.stringify(text)} has an unclosed ${character}`);
}
