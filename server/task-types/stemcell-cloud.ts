import type { Database } from '../../db/client';
import type { TaskContext } from '../tasks/context';
import type { Blobstore } from '../blobstore/blobstore';

/** A CPI as far as stemcells need it; each call goes through the task's fence, and its process ends with the task's right to act. */
export interface StemcellCloud {
  /** Empty for the director's own CPI. */
  name: string;
  /** Names under which stemcells of this CPI may be recorded: its own first. */
  aliases: readonly string[];
  /** Formats are empty when the CPI does not tell. */
  info(): Promise<{ stemcellFormats: readonly string[] }>;
  createStemcell(imagePath: string, cloudProperties: Record<string, unknown>, tags: Record<string, string>): Promise<string>;
}

/** What the tasks on stemcells need. */
export interface StemcellDeps {
  db: Database;
  blobstore: Blobstore;
  /** All configured CPIs. */
  clouds(ctx: TaskContext): Promise<readonly StemcellCloud[]>;
  /** Deletes an image from the CPI of that name, or of which that is an earlier name. Throws when there is none. */
  deleteImage(ctx: TaskContext, cpi: string, cid: string): Promise<void>;
  /** Tags of the runtime config named `default`. */
  stemcellTags(): Promise<Record<string, string>>;
  /** Directory for images on their way to the CPI. */
  tmpDir: string;
}
