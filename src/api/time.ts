import type { Timestamp } from "./generated/google/protobuf/timestamp.js";

/** Converts milliseconds since the epoch to a protobuf Timestamp. */
export function toTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** Converts a protobuf Timestamp to milliseconds since the epoch, with microsecond precision. */
export function fromTimestamp(timestamp: Timestamp): number {
  return timestamp.seconds * 1000 + timestamp.nanos / 1e6;
}
