import { firstValueFrom } from "rxjs";
import { currentSegment, MonitorScopeSelector, PathSegment, type Connection } from "../../api/index.js";
import { Code, codeOf, type Context, type Link } from "../../core/index.js";

const PATIENCE_MS = 1_000;

/** Whether a call that ended in this code may not have reached the next hop at all. */
export function maySayUnreachable(code: Code): boolean {
  return code === Code.Unavailable || code === Code.DeadlineExceeded || code === Code.Cancelled;
}

/**
 * Whether the next hop answers at all. It is asked what it knows of the connection, which every monitor says at
 * once; a refusal is an answer too.
 */
export async function isReachable(ctx: Context, link: Link, connection: Connection): Promise<boolean> {
  const { name, id } = currentSegment(connection)!;
  const selector = MonitorScopeSelector.create({ pathSegments: [PathSegment.create({ name, id })] });
  try {
    await ctx.withTimeout(PATIENCE_MS, (c) =>
      firstValueFrom(link.monitor.monitorConnections(c, selector), { defaultValue: undefined }),
    );
    return true;
  } catch (error) {
    return !maySayUnreachable(codeOf(error));
  }
}
