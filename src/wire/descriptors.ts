import { Code, codeOf, type Attachments, type Context, type NsmError } from "../core/index.js";

/**
 * How long to wait for a descriptor that a message names, in milliseconds. It is sent with the message. A Go server
 * may send it a little later.
 */
export const DESCRIPTOR_WITHIN_MS = 5_000;

/** Whether a URL names a descriptor that travels on the connection of the message. */
export function isInodeUrl(url: string): boolean {
  return url.startsWith("inode:");
}

/** How long to wait for a descriptor, and the error if it does not arrive. */
export interface DescriptorWait {
  readonly withinMs: number;
  readonly late: (cause: unknown) => NsmError;
}

/** Waits for the descriptor with this inode URL. The caller closes it. */
export async function receiveDescriptor(
  ctx: Context,
  attachments: Attachments,
  url: string,
  { withinMs, late }: DescriptorWait,
): Promise<number> {
  try {
    return await ctx.withTimeout(withinMs, ({ signal }) => attachments.receive(url, signal));
  } catch (cause) {
    ctx.throwIfDone();
    if (codeOf(cause) !== Code.DeadlineExceeded) throw cause;
    throw late(cause);
  }
}
