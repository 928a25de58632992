import type { Metadata } from 'next';
import { Suspense } from 'react';
import { ApiProvider } from '../_ui/api';
import { LoginForm } from './login-form';

export const metadata: Metadata = { title: 'Log in' };

export default function LoginPage() {
  return (
    <ApiProvider>
      <main className="flex min-h-dvh items-center justify-center p-6">
        <Suspense>
          <LoginForm />
        </Suspense>
      </main>
    </ApiProvider>
  );
}
