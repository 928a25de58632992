'use client';

import { useMutation } from '@tanstack/react-query';
import { useSearchParams } from 'next/navigation';
import { useState, type FormEvent } from 'react';
import { isRefusal, useTRPC } from '../_ui/api';

/** Where to go after logging in: a page of this console, nothing else. */
function safeNext(next: string | null): string {
  return next !== null && /^\/console(?:[/?]|$)/.test(next) && !next.startsWith('/console/login') ? next : '/console';
}

export function LoginForm() {
  const trpc = useTRPC();
  const next = safeNext(useSearchParams().get('next'));
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const login = useMutation(trpc.auth.login.mutationOptions({ onSuccess: () => location.assign(next) }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate({ username, password });
  };
  return (
    <form onSubmit={submit} className="panel w-full max-w-[340px] p-6">
      <h1 className="mb-5 flex items-center gap-2.5 text-xl font-semibold tracking-[-0.01em]">
        <svg aria-hidden viewBox="0 0 20 20" className="size-6 text-accent">
          <path d="M10 1.8 18.2 10 10 18.2 1.8 10Z" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" />
          <path d="M10 6.6 13.4 10 10 13.4 6.6 10Z" fill="currentColor" />
        </svg>
        Directorate
      </h1>
      <label className="mb-3 block">
        <span className="mb-1 block text-sm text-soft">Name</span>
        <input className="field h-8 w-full" name="username" autoComplete="username" autoFocus required value={username} onChange={(event) => setUsername(event.target.value)} />
      </label>
      <label className="mb-4 block">
        <span className="mb-1 block text-sm text-soft">Password</span>
        <input className="field h-8 w-full" name="password" type="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />
      </label>
      {login.error && (
        <p role="alert" className="mb-4 rounded bg-fail-wash px-3 py-2 text-sm text-fail">
          {isRefusal(login.error) ? login.error.message : 'No director node answers. Try again in a moment.'}
        </p>
      )}
      <button type="submit" className="button primary h-8 w-full justify-center" disabled={login.isPending || login.isSuccess}>
        {login.isPending || login.isSuccess ? 'Logging in' : 'Log in'}
      </button>
      <p className="mt-4 text-sm text-faint">The same users as for the bosh CLI.</p>
    </form>
  );
}
