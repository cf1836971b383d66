import { firstValueFrom } from "rxjs";
import { currentSegment, MonitorScopeSelector, PathSegment, type Connection } from "../../api/index.js";
import { codeOf, isRefusal, type Context, type Remote } from "../../core/index.js";

const ANSWER_WITHIN_MS = 1_000;

/**
 * Returns why the next hop does not answer within one second, or undefined if it does. Subscribes to its monitor
 * for this connection, because every monitor publishes its initial state at once. An error counts as an answer,
 * unless it means that the hop is unreachable.
 */
export async function whyUnreachable(ctx: Context, remote: Remote, connection: Connection): Promise<unknown> {
  const { name, id } = currentSegment(connection)!;
  const selector = MonitorScopeSelector.create({ pathSegments: [PathSegment.create({ name, id })] });
  try {
    await ctx.withTimeout(ANSWER_WITHIN_MS, (c) =>
      firstValueFrom(remote.monitor.monitorConnections(c, selector), { defaultValue: undefined }),
    );
    return undefined;
  } catch (error) {
    return isRefusal(codeOf(error)) ? undefined : error;
  }
}
