/** Options of recvFdServer() and recvFdClient(). */
export interface RecvFdOptions {
  /** The lifetime of the program. Its end closes all sockets. */
  readonly until: AbortSignal;
}
