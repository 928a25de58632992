import { code, DirectorError } from '../core/errors';

/** Hosts as certificates name them: a name or an address, IPv6 in brackets. */
const form = /^nats:\/\/(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z]([-0-9A-Za-z.]*[0-9A-Za-z])?):([0-9]{1,5})$/;

/**
 * A list of NATS servers as agents take it: `nats://host:port`, at least one, none twice. Returns a copy.
 * Throws DirectorError 40005 that names the bad one. Certificates say who an agent is, so users and passwords are refused.
 */
export function checkBusUrls(urls: readonly string[]): string[] {
  if (urls.length === 0) throw refused('Name at least one NATS server as nats://host:port');
  const seen = new Set<string>();
  for (const url of urls) {
    const port = Number(form.exec(url)?.[3]);
    if (!(port >= 1 && port <= 65535)) throw refused(`'${url}' is not the URL of a NATS server: expected nats://host:port without user, password or path`);
    if (seen.has(url.toLowerCase())) throw refused(`'${url}' is named twice`);
    seen.add(url.toLowerCase());
  }
  return [...urls];
}

function refused(message: string): DirectorError {
  return new DirectorError(code.validationInvalidValue, message);
}
