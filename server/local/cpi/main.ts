import { text } from 'node:stream/consumers';
import { readCpiConfig } from './config';
import { toErrorReply } from './errors';
import { serveRequest, type Response } from './request';

/**
 * The CPI of the local cloud: `node cpi.cjs <config.json>`, one request on stdin, one response on stdout.
 * The exit status says nothing, as the contract wants it.
 */
async function main(): Promise<void> {
  const response = await answer();
  await new Promise<void>((resolve) => {
    process.stdout.on('error', () => resolve());
    process.stdout.write(JSON.stringify(response), () => resolve());
  });
}

async function answer(): Promise<Response> {
  try {
    const configPath = process.argv[2];
    if (configPath === undefined) throw new Error('usage: cpi <config.json>');
    return await serveRequest(readCpiConfig(configPath), await text(process.stdin));
  } catch (error) {
    return { result: null, error: toErrorReply(error), log: '' };
  }
}

void main();
