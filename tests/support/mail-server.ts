import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';

export interface ReceivedMail {
  /** Of the envelope. */
  from: string;
  to: string[];
  /** Name in EHLO. */
  client: string;
  encrypted: boolean;
  user: string | undefined;
  headers: string;
  /** Decoded. */
  text: string;
}

export interface MailServerOptions {
  /** Turns STARTTLS on. */
  credentials?: { certificate: string; privateKey: string };
  /** Demands a login, without asking for TLS. */
  login?: { user: string; password: string; method: 'PLAIN' | 'LOGIN' | 'CRAM-MD5' };
}

export interface MailServer {
  port: number;
  mails: ReceivedMail[];
  /** Refuses mails with this line after it read them, e.g. `451 later`. */
  refusal: { code: number; text: string } | undefined;
  stop(): Promise<void>;
}

/** A real SMTP server that keeps what it gets. */
export async function startMailServer({ credentials, login }: MailServerOptions = {}): Promise<MailServer> {
  const mail: MailServer = { port: 0, mails: [], refusal: undefined, stop: () => new Promise((resolve) => server.close(() => resolve())) };
  const server = new SMTPServer({
    disabledCommands: [...(credentials ? [] : ['STARTTLS'] as const), ...(login ? [] : ['AUTH'] as const)],
    ...(credentials ? { cert: credentials.certificate, key: credentials.privateKey } : {}),
    ...(login ? { authMethods: [login.method], allowInsecureAuth: true } : {}),
    authOptional: !login,
    disableReverseLookup: true,
    closeTimeout: 100,
    onAuth: (auth, _session, done) => {
      const right = auth.username === login?.user && (auth.method === 'CRAM-MD5' ? auth.validatePassword(login?.password ?? '') : auth.password === login?.password);
      if (right) done(null, { user: auth.username });
      else done(new Error('wrong password'));
    },
    onData: (stream, session, done) => {
      void text(stream).then((raw) => {
        if (mail.refusal) return done(Object.assign(new Error(mail.refusal.text), { responseCode: mail.refusal.code }));
        const { mailFrom, rcptTo } = session.envelope;
        mail.mails.push({
          from: mailFrom ? mailFrom.address : '', to: rcptTo.map((one) => one.address), client: session.hostNameAppearsAs, encrypted: session.secure, user: session.user === undefined ? undefined : String(session.user), ...parse(raw),
        });
        done();
      });
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  mail.port = (server.server.address() as AddressInfo).port;
  return mail;
}

function parse(raw: string): { headers: string; text: string } {
  const end = raw.indexOf('\r\n\r\n');
  const [headers, body] = [raw.slice(0, end + 2), raw.slice(end + 4)];
  if (!/^content-transfer-encoding: quoted-printable\r$/im.test(headers)) return { headers, text: body };
  const bytes = body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_match, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { headers, text: Buffer.from(bytes, 'latin1').toString('utf8') };
}
