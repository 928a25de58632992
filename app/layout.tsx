import type { Metadata, Viewport } from 'next';
import type { ReactNode } from 'react';
import './globals.css';

export const metadata: Metadata = { title: { default: 'Directorate', template: '%s · Directorate' }, description: 'Console of a highly available BOSH director' };
export const viewport: Viewport = { width: 'device-width', initialScale: 1 };

/** Runs before the first paint, so that a chosen theme never flashes. */
const applyTheme = `try{var t=localStorage.getItem('directorate-theme');if(t==='light'||t==='dark')document.documentElement.dataset.theme=t}catch(e){}`;

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" suppressHydrationWarning>
      <head>
        <script dangerouslySetInnerHTML={{ __html: applyTheme }} />
      </head>
      <body>{children}</body>
    </html>
  );
}
