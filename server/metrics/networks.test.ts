import { describe, expect, it } from 'vitest';
import { dynamicNetworks } from './networks';

const cloudConfig = (networks: string) => `azs: [{name: z1}]\nnetworks:\n${networks}`;

describe('addresses that the director may give out by itself', () => {
  it('are those of all subnets without reserved, static and implicitly withheld ones', () => {
    const content = cloudConfig(`
- name: default
  subnets:
  - {range: 10.0.0.0/24, gateway: 10.0.0.1, az: z1, reserved: [10.0.0.2-10.0.0.9], static: [10.0.0.10, 10.0.0.20-10.0.0.29]}
  - {range: 10.0.1.0/28, gateway: 10.0.1.1, az: z1}
`);
    // 256 - network, broadcast, gateway - 8 - 11; 16 - 3.
    expect(dynamicNetworks([content], [])).toEqual([{ name: 'default', size: 234 + 13 }]);
  });

  it('lack the addresses of the director itself, and count what is withheld twice once', () => {
    const content = cloudConfig('- {name: default, subnets: [{range: 10.0.0.0/24, gateway: 10.0.0.1, reserved: [10.0.0.0-10.0.0.9, 10.0.0.5-10.0.0.12]}]}');
    expect(dynamicNetworks([content], [])[0]?.size).toBe(256 - 13 - 1);
    expect(dynamicNetworks([content], ['10.0.0.77', '10.0.0.3', '192.168.0.1'])[0]?.size).toBe(256 - 13 - 1 - 1);
  });

  it('are told of IPv6 networks too', () => {
    expect(dynamicNetworks([cloudConfig('- {name: six, subnets: [{range: "fd00::/112", gateway: "fd00::1"}]}')], [])).toEqual([{ name: 'six', size: 65_536 - 3 }]);
  });

  it('come from all cloud configs, from manual networks only, and despite mistakes in others', () => {
    const subnets = 'subnets: [{range: 10.0.0.0/24, gateway: 10.0.0.1}]';
    const first = cloudConfig(`- {name: a, ${subnets}}\n- {name: elsewhere, type: dynamic}\n- {name: floating, type: vip}`);
    const second = cloudConfig(`- {name: wrong, subnets: [{range: nonsense, gateway: 10.0.0.1}]}\n- {name: b, ${subnets}}\n- {name: A, ${subnets}}\n- just text`);
    expect(dynamicNetworks([first, second], []).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('are none without a cloud config, and of one that is no YAML', () => {
    expect(dynamicNetworks([], [])).toEqual([]);
    expect(dynamicNetworks(['a: [', '- list'], [])).toEqual([]);
  });
});
