import { expect, it } from 'vitest';
import type { ChangeKind } from '../plan/types';
import { updateEvent } from './update-event';

const update = ({ kinds, ...given }: { kinds: ChangeKind[]; isNew?: boolean; az?: string | null; desiredState?: 'started' | 'stopped' | 'detached'; needsRecreate?: boolean }) => ({
  isNew: false, az: 'z1', desiredState: 'started' as const, needsRecreate: false, ...given, changes: kinds.map((kind) => ({ kind, reasons: [] })),
});

it.each([
  ['only a restart', update({ kinds: ['restart'] }), true, { action: 'restart', context: {} }],
  ['a restart with another change', update({ kinds: ['restart', 'job'] }), true, { action: 'update', context: { az: 'z1', changes: ['restart', 'job'] } }],
  ['only a start', update({ kinds: ['state'] }), true, { action: 'start', context: {} }],
  ['a start that makes the VM again', update({ kinds: ['state'] }), false, { action: 'start', context: {} }],
  ['only a stop', update({ kinds: ['state'], desiredState: 'stopped' }), true, { action: 'stop', context: {} }],
  ['only a hard stop', update({ kinds: ['state'], desiredState: 'detached' }), true, { action: 'stop', context: {} }],
  ['a start with another change', update({ kinds: ['packages', 'state'] }), true, { action: 'update', context: { az: 'z1', changes: ['packages', 'state'] } }],
  ['only a recreation', update({ kinds: ['recreate'], needsRecreate: true }), true, { action: 'recreate', context: { az: 'z1' } }],
  ['another stemcell', update({ kinds: ['stemcell'], needsRecreate: true }), true, { action: 'recreate', context: { az: 'z1', changes: ['stemcell'] } }],
  ['a new instance', update({ kinds: ['network', 'job'], isNew: true }), false, { action: 'create', context: { az: 'z1' } }],
  ['no AZ', update({ kinds: ['job'], az: null }), true, { action: 'update', context: { changes: ['job'] } }],
])('the events of an update with %s', (_what, instance, hasVm, event) => {
  expect(updateEvent(instance, hasVm)).toEqual(event);
});
