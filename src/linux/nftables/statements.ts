import { Code, NsmError } from "../../core/index.js";
import { be32, be64, text, u8 } from "../netlink/attributes.js";
import { assertRange } from "../rtnetlink/link-name.js";
import { and, comparison } from "./field.js";
import { plain, type Statement } from "./statement.js";
import { expression, register, verdict } from "./encoding.js";

const CT = { DREG: 1, KEY: 2, STATE: 0, DIRECTION: 1 } as const;
const COUNTER = { BYTES: 1, PACKETS: 2 } as const;
const OBJREF = { TYPE: 1, NAME: 2 } as const;
const OBJECT_COUNTER = 1;
const LIMIT = { RATE: 1, UNIT: 2, BURST: 3, TYPE: 4, FLAGS: 5 } as const;
const REJECT = { TYPE: 1, CODE: 2, TCP_RESET: 1, ICMPX: 2 } as const;

const states = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
/** The tracked state of a packet's connection. */
export type ConnectionState = keyof typeof states;

/**
 * Matches if the packet's connection is in one of these states. Works in inet and bridge tables. netdev
 * tables see packets before connection tracking.
 */
export function ctState(...wanted: readonly ConnectionState[]): Statement {
  if (wanted.length === 0)
    throw new NsmError(Code.InvalidArgument, "ctState() without a state could never match");
  const mask = Buffer.alloc(4);
  mask.writeUInt32LE(wanted.reduce((bits, state) => bits | states[state], 0));
  const load = expression("ct", be32(CT.KEY, CT.STATE), be32(CT.DREG, register));
  return plain(load, and(mask), comparison(Buffer.alloc(4), true));
}

const directions = { original: 0, reply: 1 } as const;

/** Matches packets of the original or the reply direction. Works where ctState() works. */
export function ctDirection(direction: keyof typeof directions): Statement {
  const load = expression("ct", be32(CT.KEY, CT.DIRECTION), be32(CT.DREG, register));
  return plain(load, comparison(Buffer.of(directions[direction]), false));
}

/** Counts the packets that reach this statement. A name selects a counter that `Nftables.counters` reads. */
export function counter(name?: string): Statement {
  if (name === undefined)
    return plain(expression("counter", be64(COUNTER.BYTES, 0), be64(COUNTER.PACKETS, 0)));
  const step = expression("objref", be32(OBJREF.TYPE, OBJECT_COUNTER), text(OBJREF.NAME, name));
  return { ...plain(step), uses: { counter: name } };
}

const seconds = { second: 1, minute: 60, hour: 3600, day: 86_400 } as const;

/** Matches at most this many packets per unit of time, after an initial burst. Default burst: 5 packets. */
export function limit(options: { packets: number; per: keyof typeof seconds; burst?: number }): Statement {
  const { packets, per, burst = 5 } = options;
  return plain(
    expression(
      "limit",
      be64(LIMIT.RATE, assertRange("packet rate", packets, 1, 0xffffffff)),
      be64(LIMIT.UNIT, seconds[per]),
      be32(LIMIT.BURST, assertRange("burst", burst, 0, 0xffffffff)),
      be32(LIMIT.TYPE, 0),
      be32(LIMIT.FLAGS, 0),
    ),
  );
}

/** Accepts the packet in this chain. A later chain of the same hook can still drop it. */
export const accept = (): Statement => plain(verdict(1));
/** Drops the packet silently. */
export const drop = (): Statement => plain(verdict(0));
/** Continues with another chain of the table, and returns if that chain does not decide. */
export const jump = (chain: string): Statement => ({ ...plain(verdict(-3, chain)), uses: { chain } });
/** Ends this chain: continues after the jump that led here, or with the policy. */
export const leave = (): Statement => plain(verdict(-5));

const unreachable = { "no-route": 0, port: 1, host: 2, prohibited: 3 } as const;

/**
 * Drops the packet and notifies its sender. Default: ICMP "administratively prohibited", in the packet's IP
 * version. `"tcp-reset"` responds like a closed port and matches only TCP.
 */
export function reject(how: keyof typeof unreachable | "tcp-reset" = "prohibited"): Statement {
  if (how === "tcp-reset") {
    const step = expression("reject", be32(REJECT.TYPE, REJECT.TCP_RESET), u8(REJECT.CODE, 0));
    return { requires: [{ transport: 6 }], encode: () => [step] };
  }
  return plain(expression("reject", be32(REJECT.TYPE, REJECT.ICMPX), u8(REJECT.CODE, unreachable[how])));
}
