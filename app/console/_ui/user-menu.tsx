'use client';

import { useMutation } from '@tanstack/react-query';
import { LogOut } from 'lucide-react';
import { useTRPC } from './api';
import { useMe } from './queries';

/** Who is logged in, and the way out. Nobody: to the login page. */
export function UserMenu() {
  const trpc = useTRPC();
  const { data } = useMe();
  const logout = useMutation(trpc.auth.logout.mutationOptions({ onSuccess: () => location.assign('/console/login') }));
  return (
    <div className="flex items-center">
      <span className="hidden max-w-32 truncate px-1 text-sm text-soft sm:block" title={data?.scopes.join(' ')}>
        {data?.username ?? ''}
      </span>
      <button type="button" className="button quiet" title="Log out" disabled={logout.isPending} onClick={() => logout.mutate()}>
        <LogOut aria-hidden size={15} />
        <span className="sr-only">Log out</span>
      </button>
    </div>
  );
}
