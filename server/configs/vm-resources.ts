import { requiredField } from '../core/fields';
import type { VmResources } from '../cpi/cpi';

/** `vm_resources` of an instance group or of the compilation. Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/vm_resources.rb. */
export function parseVmResources(spec: unknown): VmResources {
  return { cpu: requiredField(spec, 'cpu', 'Integer'), ram: requiredField(spec, 'ram', 'Integer'), ephemeral_disk_size: requiredField(spec, 'ephemeral_disk_size', 'Integer') };
}
