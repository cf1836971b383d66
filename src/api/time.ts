import type { Timestamp } from "./generated/google/protobuf/timestamp.js";

/** Milliseconds since the epoch as a protobuf Timestamp. */
export function toTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** A protobuf Timestamp as milliseconds since the epoch; what is finer than a microsecond is lost. */
export function fromTimestamp(timestamp: Timestamp): number {
  return timestamp.seconds * 1000 + timestamp.nanos / 1e6;
}
