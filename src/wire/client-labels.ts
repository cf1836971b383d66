const sources = [
  ["nodeName", "NODE_NAME"],
  ["podName", "POD_NAME"],
  ["clusterName", "CLUSTER_NAME"],
] as const;

/** The environment of a process: `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Labels for the place where a process runs: `nodeName`, `podName` and `clusterName` from the variables NODE_NAME,
 * POD_NAME and CLUSTER_NAME. A variable that is not set or empty gives no label.
 */
export function clientLabels(env: Environment): Record<string, string> {
  return Object.fromEntries(
    sources.flatMap(([label, variable]) => {
      const value = env[variable];
      return value ? [[label, value]] : [];
    }),
  );
}
