import { firstValueFrom } from "rxjs";
import { currentSegment, MonitorScopeSelector, PathSegment, type Connection } from "../../api/index.js";
import { codeOf, isRefusal, type Context, type Remote } from "../../core/index.js";

const ANSWER_WITHIN_MS = 1_000;

/**
 * Whether the next hop answers within one second. Subscribes to its monitor for this connection, because every
 * monitor publishes its initial state at once. An error counts as an answer, unless it means that the hop is
 * unreachable.
 */
export async function isReachable(ctx: Context, remote: Remote, connection: Connection): Promise<boolean> {
  const { name, id } = currentSegment(connection)!;
  const selector = MonitorScopeSelector.create({ pathSegments: [PathSegment.create({ name, id })] });
  try {
    await ctx.withTimeout(ANSWER_WITHIN_MS, (c) =>
      firstValueFrom(remote.monitor.monitorConnections(c, selector), { defaultValue: undefined }),
    );
    return true;
  } catch (error) {
    return isRefusal(codeOf(error));
  }
}
