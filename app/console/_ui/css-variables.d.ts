import 'react';

declare module 'react' {
  interface CSSProperties {
    /** A node's hue, for `.stretch`. */
    '--hue'?: string;
  }
}
