/** Content of somebody else's making: cloud properties, env, job properties, whole YAML documents. */
export type Hash = Record<string, unknown>;
