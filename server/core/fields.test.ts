import { describe, expect, it } from 'vitest';
import { integerFieldFrom, optionalField, requiredField, rubyInspect, stringsField } from './fields';

describe('fields', () => {
  it('are read by type; only numbers turn into texts', () => {
    expect(optionalField({ a: 1.5 }, 'a', 'String')).toBe('1.5');
    expect(optionalField({ a: false }, 'a', 'boolean')).toBe(false);
    expect(optionalField({}, 'a', 'Hash')).toBeUndefined();
    expect(stringsField({ a: ['x', 1] }, 'a')).toEqual(['x', '1']);
    expect(integerFieldFrom({ a: 1 }, 'a', 1)).toBe(1);
  });

  it('are not those of the prototype', () => {
    expect(optionalField({}, 'constructor', 'Hash')).toBeUndefined();
  });

  it.each([
    [() => requiredField({ a: 'b' }, 'x', 'String'), 40001, `Required property 'x' was not specified in object ({"a" => "b"})`],
    [() => requiredField({ x: null }, 'x', 'String'), 40000, "Property 'x' value (nil) did not match the required type 'String'"],
    [() => requiredField({ x: '3' }, 'x', 'Integer'), 40000, `Property 'x' value ("3") did not match the required type 'Integer'`],
    [() => requiredField({ x: 1.5 }, 'x', 'Integer'), 40000, "Property 'x' value (1.5) did not match the required type 'Integer'"],
    [() => requiredField({ x: 'true' }, 'x', 'boolean'), 40000, `Property 'x' value ("true") did not match the required type 'boolean'`],
    [() => requiredField([1], 'x', 'String'), 40000, "Object ([1]) did not match the required type 'Hash'"],
    [() => integerFieldFrom({ x: 0 }, 'x', 1), 40002, "'x' value (0) should be greater than 1"],
    [() => stringsField({ x: [{}] }, 'x'), 40000, "Property 'x' value ({}) did not match the required type 'String'"],
  ])('are refused in BOSH\'s words (%#)', (read, code, message) => {
    expect(read).toThrow(expect.objectContaining({ code, message }));
  });
});

it('prints values as Ruby does', () => {
  expect(rubyInspect({ a: [1, null, true, 'x"y', '#{z}'], b: {} })).toBe('{"a" => [1, nil, true, "x\\"y", "\\#{z}"], "b" => {}}');
});
