import { createHash } from 'node:crypto';
import { preludeContext } from './prelude-context.rb';
import { preludeLibraries, preludeRender } from './prelude-host.rb';

/** Ruby source that makes a bare interpreter able to render job templates; evaluated once, before the VM's snapshot is taken. */
export const prelude = [preludeLibraries, preludeContext, preludeRender].join('\n');

/** Changes whenever the prelude does; part of the key under which rendered jobs are cached. */
export const preludeVersion = createHash('sha256').update(prelude).digest('hex');
