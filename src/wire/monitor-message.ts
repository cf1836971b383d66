/**
 * Maximum number of connections in one monitor message, far below the 4 MiB limit of peers. A smaller initial
 * transfer is complete in one message.
 */
export const MAX_CONNECTIONS = 100;
