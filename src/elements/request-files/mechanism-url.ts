import { Parameter, type Mechanism } from "../../api/index.js";

/** The URL of the file that a mechanism names, or an empty text. */
export function inodeUrlIn(mechanism: Mechanism | undefined): string {
  return mechanism?.parameters[Parameter.inodeUrl] ?? "";
}

/** The mechanism with another URL of its file. */
export function withInodeUrl(mechanism: Mechanism, url: string): Mechanism {
  return { ...mechanism, parameters: { ...mechanism.parameters, [Parameter.inodeUrl]: url } };
}
