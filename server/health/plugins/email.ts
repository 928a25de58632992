import { createTransport } from 'nodemailer';
import { alertPlainText, heartbeatText } from '../events';
import type { Plugin, PluginDeps } from './plugin';

export interface EmailOptions {
  recipients: readonly string[];
  smtp: {
    from: string;
    host: string;
    port: number;
    /** Name in EHLO. */
    domain?: string | undefined;
    /** STARTTLS is required; otherwise nothing is encrypted. */
    tls: boolean;
    ca?: string | undefined;
    auth?: 'plain' | 'login' | 'cram_md5' | undefined;
    user?: string | undefined;
    password?: string | undefined;
  };
  /** Seconds between two mails of a kind. */
  interval: number;
}

/** Events in one mail at most. */
const mostInAMail = 128;
const methods = { plain: 'PLAIN', login: 'LOGIN', cram_md5: 'CRAM-MD5' };

/**
 * Mails what has come since the last mail of its kind. Alerts count as delivered when the server has taken the mail.
 * cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/email.rb.
 */
export function createEmail(key: string, options: EmailOptions, { log }: PluginDeps): Plugin {
  const { smtp } = options;
  const transport = createTransport({
    host: smtp.host, port: smtp.port, secure: false, requireTLS: smtp.tls, ignoreTLS: !smtp.tls,
    connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 15_000, dnsTimeout: 10_000,
    ...(smtp.domain === undefined ? {} : { name: smtp.domain }),
    ...(smtp.ca === undefined ? {} : { tls: { ca: smtp.ca } }),
    ...(smtp.auth === undefined ? {} : { auth: { user: smtp.user, pass: smtp.password, method: methods[smtp.auth] }, authMethod: methods[smtp.auth] }),
  });
  const mail = async (kind: string, texts: string[]) => {
    const { rejected } = await transport.sendMail({
      from: smtp.from, to: [...options.recipients], subject: `${texts.length} ${kind}${texts.length === 1 ? '' : 's'} from BOSH Health Monitor`, text: texts.join('\n'),
      // What an alert says is text, never the name of a file to send.
      disableFileAccess: true, disableUrlAccess: true,
    });
    if (rejected.length > 0) log.warn('mail-recipients-refused', { plugin: key, rejected });
  };
  const pauseMs = options.interval * 1_000;
  return {
    key,
    alerts: { kind: 'call', batch: mostInAMail, pauseMs, deliver: (alerts) => mail('alert', alerts.map(alertPlainText)) },
    heartbeats: { batch: 1_000, pauseMs, send: (events) => mail('heartbeat', events.map((event) => `${heartbeatText(event)}\n`)) },
    stop: async () => transport.close(),
  };
}
