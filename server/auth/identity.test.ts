import { beforeAll, describe, expect, it } from 'vitest';
import { createLocalIdentity, parseBasic, type IdentityProvider } from './identity';
import { hashPassword, matchesPassword } from './password';

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
let hash = '';
beforeAll(async () => {
  hash = await hashPassword('s3:cret');
});

describe('passwords', () => {
  it('match their own hash only, and hashes are salted', async () => {
    expect(await matchesPassword('s3:cret', hash)).toBe(true);
    expect(await matchesPassword('s3:cretx', hash)).toBe(false);
    expect(await hashPassword('s3:cret')).not.toBe(hash);
  });

  it('say so when a hash is malformed', async () => {
    await expect(matchesPassword('x', 'plain')).rejects.toThrow('scrypt:<salt hex>:<hash hex>');
  });
});

describe('local users', () => {
  let time = 0;
  let identity: IdentityProvider;
  const admin = { name: 'admin', password_hash: '', scopes: ['bosh.admin'] };
  beforeAll(() => {
    admin.password_hash = hash;
    identity = createLocalIdentity([admin], { monotonic: () => time });
  });

  it('are known by Basic credentials', async () => {
    expect(await identity.authenticate(basic('admin', 's3:cret'))).toEqual({ username: 'admin', scopes: ['bosh.admin'] });
    expect(await identity.authenticate(basic('admin', 's3:cret').replace('Basic', 'basic'))).toBeDefined();
  });

  it.each([undefined, '', 'Basic', 'Basic !!!', 'bearer abc.def', basic('admin', 'wrong'), basic('admin', ''), basic('', 's3:cret'), basic('nobody', 's3:cret'), `Basic ${Buffer.from('admin').toString('base64')}`])(
    'are not known by %j',
    async (header) => {
      expect(await identity.authenticate(header)).toBeUndefined();
    },
  );

  it('are checked once a minute: repeated requests cost no hashing', async () => {
    await identity.authenticate(basic('admin', 's3:cret'));
    admin.password_hash = 'a check would fail now';
    time += 59_000;
    expect(await identity.authenticate(basic('admin', 's3:cret'))).toBeDefined();
    time += 2_000;
    await expect(identity.authenticate(basic('admin', 's3:cret'))).rejects.toThrow('password hash');
    admin.password_hash = hash;
    expect(await identity.authenticate(basic('admin', 's3:cret'))).toBeDefined();
  });

  it('are found by name for sessions', () => {
    expect(identity.find('admin')).toEqual({ username: 'admin', scopes: ['bosh.admin'] });
    expect(identity.find('gone')).toBeUndefined();
  });
});

it('splits Basic credentials at the first colon', () => {
  expect(parseBasic(basic('a', 'b:c'))).toEqual({ username: 'a', password: 'b:c' });
});
