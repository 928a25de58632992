/**
 * The environment of a child process, exactly these variables. (Next.js declares NODE_ENV as always present in any ProcessEnv;
 * for the processes of a VM that is neither true nor wanted, hence the assertion.)
 */
export function exactEnvironment(variables: Record<string, string>): NodeJS.ProcessEnv {
  return variables as NodeJS.ProcessEnv;
}
