import { connect } from "node:net";

/**
 * Whether a process listens on the unix socket at `path`. Connects to find out, because the process may run
 * in another PID namespace that shares the folder. Only a refused connection means no; a busy server may fail
 * otherwise.
 */
export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED"));
  });
}
