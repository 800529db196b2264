/** The imports of the project's TypeScript files, as a graph. */
import { dirname, join } from "@std/path/posix";

const ROOT = new URL("../../", import.meta.url).pathname;

/** One import of one file. */
export interface Import {
  readonly file: string;
  /** The path of a file of the project, relative to its root; or the specifier of a package. */
  readonly target: string;
}

/** Returns the TypeScript files of a directory, as paths relative to the root, without declaration files. */
export async function typescriptFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(join(ROOT, directory))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) files.push(...await typescriptFiles(path));
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")) files.push(path);
  }
  return files;
}

/** Returns the imports of a file: static and dynamic ones, of types and of values, and re-exports. */
export function importsOf(file: string, text: string): Import[] {
  const specifiers = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)"([^"]+)"/gm);
  return [...specifiers].map(([, specifier = ""]) => {
    return { file, target: specifier.startsWith(".") ? join(dirname(file), specifier) : specifier };
  });
}

/** Returns all imports of these files. */
export async function importsIn(files: readonly string[]): Promise<Import[]> {
  const imports: Import[] = [];
  for (const file of files) imports.push(...importsOf(file, await Deno.readTextFile(join(ROOT, file))));
  return imports;
}

/** Returns whether the target of an import is a file of the project. */
export function isProjectFile(target: string): boolean {
  return target === "main.ts" || /^(src|tests)\//.test(target);
}

/** Returns the sets of files that import one another in a circle: strongly connected components, by Tarjan's algorithm. */
export function circles(imports: readonly Import[]): string[][] {
  const graph = Map.groupBy(imports, ({ file }) => file);
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): number => {
    const position = order.size;
    let low = position;
    order.set(file, position);
    stack.push(file);
    for (const { target } of graph.get(file) ?? []) {
      if (!order.has(target)) low = Math.min(low, visit(target));
      else if (stack.includes(target)) low = Math.min(low, order.get(target) ?? low);
    }
    lowest.set(file, low);
    if (low === position) {
      const circle = stack.splice(stack.indexOf(file));
      if (circle.length > 1) found.push(circle.sort());
    }
    return low;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}
