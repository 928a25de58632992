import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readArchive, readText, uploadRules, type ArchiveRules } from '../core/archive';
import { DirectorError, code } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import { parseYaml, YamlError, type Hash } from '../core/yaml';

/** stemcell.MF: https://bosh.io/docs/build-stemcell/ and cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_stemcell.rb. */
export interface StemcellManifest {
  name: string;
  version: string;
  os: string;
  /** Of the image, as the manifest says. */
  sha1: string;
  apiVersion: number | undefined;
  /** Formats of the image; undefined when the manifest does not tell. */
  formats: string[] | undefined;
  /** As the CPI gets them; null when the manifest has none. */
  cloudProperties: Hash | null;
}

const maxManifestBytes = 2 ** 20;

/** What an archive held: the text of its stemcell.MF, and where its image was written to. */
export interface UnpackedStemcell {
  manifest: string | undefined;
  image: string | undefined;
}

/** Streams the archive: its `image` to `<folder>/image`, its manifest to memory, the rest nowhere. Throws ArchiveError; other errors are the disk's or the source's. */
export async function unpackStemcell(archive: Readable, folder: string, rules: ArchiveRules = uploadRules): Promise<UnpackedStemcell> {
  const found: UnpackedStemcell = { manifest: undefined, image: undefined };
  await readArchive(archive, rules, async (file) => {
    if (file.path === 'stemcell.MF') found.manifest = await readText(file, maxManifestBytes);
    if (file.path !== 'image') return;
    const image = join(folder, 'image');
    await pipeline(file.content, createWriteStream(image, { mode: 0o644, highWaterMark: 1 << 20 }));
    found.image = image;
  });
  return found;
}

/** Throws 50000 for a missing or unreadable manifest, 40000 and 40001 for wrong and missing fields. */
export function parseStemcellManifest(text: string | undefined): StemcellManifest {
  const manifest = documentOf(text);
  const name = requiredField(manifest, 'name', 'String');
  const os = optionalField(manifest, 'operating_system', 'String') ?? name;
  const version = requiredField(manifest, 'version', 'String');
  const formats = optionalField(manifest, 'stemcell_formats', 'Array')?.map(String);
  const cloudProperties = optionalField(manifest, 'cloud_properties', 'Hash') ?? null;
  const sha1 = requiredField(manifest, 'sha1', 'String');
  return { name, os, version, sha1, formats, cloudProperties, apiVersion: optionalField(manifest, 'api_version', 'Integer') };
}

function documentOf(text: string | undefined): unknown {
  if (text === undefined) throw new DirectorError(code.stemcellInvalidArchive, 'The stemcell archive has no stemcell.MF: it is not a stemcell');
  try {
    return parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new DirectorError(code.stemcellInvalidArchive, `The stemcell.MF is not valid YAML: ${error.message}`, { cause: error });
  }
}
