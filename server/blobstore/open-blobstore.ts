import type { Config } from '../core/config';
import type { Blobstore } from './blobstore';
import { openLocalBlobstore } from './local';
import { openS3Blobstore } from './s3';

/** Opens the blobstore that the configuration names. Rejects when a local one's directory cannot be made; an S3 one is first reached by `check`. */
export async function openBlobstore(settings: Config['blobstore']): Promise<Blobstore> {
  return settings.provider === 'local' ? openLocalBlobstore(settings.path) : openS3Blobstore(settings);
}
