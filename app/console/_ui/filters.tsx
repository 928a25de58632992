'use client';

import { X } from 'lucide-react';
import { useEffect, useRef, useState, type Ref } from 'react';

/** One of a few, all in sight. */
export function Segments<K extends string>({ name, options, value, onChange }: { name: string; options: readonly { key: K; name: string }[]; value: K; onChange: (key: K) => void }) {
  return (
    <div role="group" aria-label={name} className="flex overflow-x-auto rounded-[5px] border border-line-strong bg-panel">
      {options.map((option) => (
        <button
          key={option.key}
          type="button"
          aria-pressed={value === option.key}
          onClick={() => onChange(option.key)}
          className={`h-[26px] border-r px-2.5 text-sm whitespace-nowrap last:border-r-0 ${value === option.key ? 'bg-accent-wash font-medium text-accent' : 'text-soft hover:bg-raised'}`}
        >
          {option.name}
        </button>
      ))}
    </div>
  );
}

const lowerFirst = (text: string) => (/^[A-Z]{2}/.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1));

/** One of many, or any. */
export function Choice({ name, value, options, onChange, ref }: { name: string; value: string | undefined; options: readonly string[]; onChange: (value: string | undefined) => void; ref?: Ref<HTMLSelectElement> }) {
  const known = value === undefined || options.includes(value) ? options : [value, ...options];
  return (
    <select ref={ref} aria-label={name} className={`field max-w-48 text-sm ${value === undefined ? 'text-soft' : 'font-medium'}`} value={value ?? ''} onChange={(event) => onChange(event.target.value || undefined)}>
      <option value="">Any {lowerFirst(name)}</option>
      {known.map((option) => (
        <option key={option} value={option}>
          {option}
        </option>
      ))}
    </select>
  );
}

/** Typed text counts a moment after the last key. */
export function TextFilter({ name, placeholder, value, onChange, ref, className = 'w-28' }: { name: string; placeholder: string; value: string; onChange: (value: string) => void; ref?: Ref<HTMLInputElement>; className?: string }) {
  const [text, setText] = useState(value);
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => latest.current(text.trim()), 300);
    return () => clearTimeout(timer);
  }, [text, value]);
  return <input ref={ref} aria-label={name} className={`field text-sm ${className}`} placeholder={placeholder} value={text} onChange={(event) => setText(event.target.value)} />;
}

export function ClearFilters({ onClear }: { onClear: () => void }) {
  return (
    <button type="button" className="button quiet text-sm" onClick={onClear}>
      <X aria-hidden size={14} /> Clear
    </button>
  );
}
