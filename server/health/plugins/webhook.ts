import { createHmac } from 'node:crypto';
import { alertEvent } from '../events';
import { oneByOne, type Plugin } from './plugin';
import { sendRequest } from './send-request';

export interface WebhookOptions {
  url: string;
  /** Key of the signature. */
  secret: string;
  headers: readonly { name: string; value: string }[];
  ca?: string | undefined;
  http_proxy?: string | undefined;
}

/**
 * Posts every alert as JSON: the event as all plugins have it, and `job`, `instance_id` and `agent_id` (null when it is about none).
 * `X-Directorate-Signature` is `sha256=` and the hex HMAC-SHA256 of `<X-Directorate-Timestamp>.<body>`; the timestamp is the time of
 * sending in seconds, so that a receiver can refuse old copies. `X-Directorate-Delivery` is the alert's id: the same when it comes again.
 */
export function createWebhook(key: string, options: WebhookOptions): Plugin {
  return {
    key,
    alerts: oneByOne(async (alert, signal) => {
      const body = JSON.stringify({ ...alertEvent(alert), job: alert.job ?? null, instance_id: alert.instanceId ?? null, agent_id: alert.agentId ?? null });
      const timestamp = String(Math.floor(Date.now() / 1_000));
      const signature = createHmac('sha256', options.secret).update(`${timestamp}.${body}`).digest('hex');
      await sendRequest({
        method: 'POST', url: options.url, hidesPath: true, body, ca: options.ca, proxy: options.http_proxy, signal,
        headers: {
          ...Object.fromEntries(options.headers.map(({ name, value }) => [name.toLowerCase(), value])),
          'content-type': 'application/json',
          'x-directorate-signature': `sha256=${signature}`,
          'x-directorate-timestamp': timestamp,
          'x-directorate-delivery': headerText(alert.id),
        },
      });
    }),
  };
}

/** Agents choose the ids of their alerts; a header takes only some characters. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
