import { eq } from 'drizzle-orm';
import type { Db } from '../../../db/client';
import { compiledPackages, packages } from '../../../db/schema/releases';
import type { CompiledForm } from '../left-overs';

/** Every compiled package with its package's name, by name. */
export async function listCompiledForms(db: Db): Promise<CompiledForm[]> {
  return db
    .select({ packageName: packages.name, stemcellOs: compiledPackages.stemcellOs, stemcellVersion: compiledPackages.stemcellVersion })
    .from(compiledPackages)
    .innerJoin(packages, eq(packages.id, compiledPackages.packageId))
    .orderBy(packages.name, compiledPackages.id);
}
