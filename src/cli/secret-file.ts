import { readFile } from "node:fs/promises";
import { errorMessage } from "../lib/errors.ts";
import { UsageError } from "./verb.ts";

/**
 * The text of the file that an option names, `-` for standard input, without the white space around it. On the command
 * line itself every user of the machine could read the secret.
 */
export async function readSecretFile(file: string, option: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file === "-" ? "/dev/stdin" : file, "utf8");
  } catch (error) {
    throw new UsageError(`--${option} cannot be read: ${errorMessage(error)}`);
  }
  if (text.trim() === "") throw new UsageError(`--${option} is empty`);
  return text.trim();
}
