import S3rver from 's3rver';

/** An S3 server on loopback with one bucket, as a real S3 answers over HTTP. */
export interface S3Server {
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  stop(): Promise<void>;
}

/** Starts one that keeps its objects under `folder`. */
export async function startS3Server(folder: string, bucket: string): Promise<S3Server> {
  const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: folder, configureBuckets: [{ name: bucket, configs: [] }] });
  const { port } = await server.run();
  return { endpoint: `http://127.0.0.1:${port}`, accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', stop: () => server.close() };
}
