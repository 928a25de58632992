import { createHash } from 'node:crypto';
import type { AgentBlobstore } from './blobstore';
import { getFile, putFile } from './http';

/**
 * BOSH's DAV blobstore with Basic authentication: blob `id` is at `<endpoint>/<pp>/<id>`, where `pp` is the first byte of
 * SHA-1(id) in hex (cloudfoundry/bosh-davcli client/client.go).
 */
export function davBlobstore(options: { endpoint: string; user: string; password: string; tls: { cert: { ca: string } } }): AgentBlobstore {
  const http = { headers: { Authorization: `Basic ${Buffer.from(`${options.user}:${options.password}`).toString('base64')}` }, ca: options.tls.cert.ca };
  const urlOf = (id: string) => `${options.endpoint.replace(/\/+$/, '')}/${createHash('sha1').update(id).digest('hex').slice(0, 2)}/${encodeURIComponent(id)}`;
  return {
    download: (id, path) => getFile(urlOf(id), path, http),
    upload: (id, path) => putFile(urlOf(id), path, http),
  };
}
