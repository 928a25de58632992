import { describe, expect, it } from 'vitest';
import { joinVariables, parseVariables } from './definitions';

describe('variables', () => {
  it('have a name, a type and what the type takes', () => {
    expect(parseVariables({ variables: [{ name: 'p', type: 'password' }, { name: '/c', type: 'certificate', options: { ca: 'x' }, update_mode: 'converge', update: { strategy: 'on-stemcell-change' }, consumes: { alternative_name: { from: 'db', link_type: 'sql', properties: { wildcard: true } }, common_name: {} } }] })).toEqual([
      { name: 'p', type: 'password', options: {}, updateMode: undefined, strategy: 'on-deploy', consumes: [] },
      {
        name: '/c', type: 'certificate', options: { ca: 'x' }, updateMode: 'converge', strategy: 'on-stemcell-change',
        consumes: [{ as: 'alternative_name', from: 'db', linkType: 'sql', wildcard: true }, { as: 'common_name', from: 'common_name', linkType: 'address', wildcard: false }],
      },
    ]);
    expect(parseVariables({})).toEqual([]);
  });

  it.each([
    [{ variables: {} }, "Key 'variables' expects an array, but received 'Hash'"],
    [{ variables: ['a'] }, "All 'variables' elements should be Hashes"],
    [{ variables: [{ type: 'x' }] }, "At least one of the variables is missing the 'name' key; 'name' must be specified"],
    [{ variables: [{ name: ' ', type: 'x' }] }, "At least one of the variables has an empty 'name'; 'name' must not be empty or nil"],
    [{ variables: [{ name: 'a' }] }, "Type for variable 'a' is missing; 'type' must be specified"],
    [{ variables: [{ name: 'a', type: null }] }, "Type for variable 'a' is nil; 'type' must not be nil"],
    [{ variables: [{ name: 'a', type: 3 }] }, "Type for variable 'a' must be a String, but was '3'"],
    [{ variables: [{ name: 'a', type: '' }] }, "Type for variable 'a' is empty; 'type' must not be empty"],
    [{ variables: [{ name: 'a', type: 'x', consumes: [] }] }, "Consumes for variable 'a' must be a Hash or nil"],
    [{ variables: [{ name: 'a', type: 'x' }, { name: 'a', type: 'y' }] }, "Some of the variables have duplicate names, eg: 'a'"],
    [{ variables: [{ name: 'a', type: 'x', options: 'y' }] }, "options of variable with name 'a' is not a Hash"],
    [{ variables: [{ name: 'a', type: 'x', update_mode: 'always' }] }, "Update mode for variable 'a' must be one of no-overwrite, converge, overwrite, but was 'always'"],
    [{ variables: [{ name: 'a', type: 'x', update_mode: 1 }] }, "Update mode for variable 'a' must be a String, but was '1'"],
    [{ variables: [{ name: 'a', type: 'x', update: { strategy: 'never' } }] }, "Update strategy for variable 'a' must be 'on-deploy' or 'on-stemcell-change'"],
  ])('of another form are refused: %j', (document, message) => {
    expect(() => parseVariables(document)).toThrow(expect.objectContaining({ code: 560000, message: expect.stringContaining(message) as string }));
  });

  it('consume links only as names of certificates', () => {
    const wrong = { variables: [{ name: 'a', type: 'password', consumes: { common_name: {} } }, { name: 'b', type: 'certificate', consumes: { other: {} } }] };
    expect(() => parseVariables(wrong)).toThrow("Variable 'a' can not define 'consumes' key for type 'password'\nConsumer name 'other' is not a valid consumer for variable 'b'. Acceptable consumer types are: alternative_name, common_name");
  });

  it('of manifest and runtime configs may not share a name', () => {
    const [a, b] = ['a', 'b'].map((name) => parseVariables({ variables: [{ name, type: 'password' }] }));
    expect(joinVariables([a ?? [], b ?? []]).map((one) => one.name)).toEqual(['a', 'b']);
    expect(() => joinVariables([a ?? [], a ?? []])).toThrow(expect.objectContaining({ code: 190022, message: "Duplicate variable name 'a'" }));
  });
});
