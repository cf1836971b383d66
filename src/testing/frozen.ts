/** The same message, which now throws when somebody writes to it. */
export function frozen<T>(message: T): T {
  if (typeof message === "object" && message !== null && !ArrayBuffer.isView(message)) {
    Object.values(message).forEach(frozen);
    Object.freeze(message);
  }
  return message;
}
