'use client';

import { useEffect, useRef, useState } from 'react';
import { isRefusal, useTRPCClient } from '../../../_ui/api';
import type { StreamName } from './use-log';

export interface TailOutput {
  stream: StreamName;
  at: number;
  next: number;
  text: string;
}

interface TailOptions {
  taskId: number;
  enabled: boolean;
  /** Where to go on, read at each connection: byte offsets per stream. */
  offsets: () => Partial<Record<StreamName, number>>;
  /** Another set of streams; reconnects. */
  streams: string;
  onOutput: (output: TailOutput) => void;
  onState: () => void;
}

const firstPauseMs = 200;
const longestPauseMs = 2_000;

/**
 * Follows a task's output. A lost connection is opened again at once, at the byte offset reached, on whichever node
 * answers. A hidden page does not follow: browsers allow few connections.
 */
export function useTail({ taskId, enabled, offsets, streams, onOutput, onState }: TailOptions): { connected: boolean } {
  const client = useTRPCClient();
  const [connected, setConnected] = useState(false);
  const visible = useVisible();
  const latest = useRef({ offsets, onOutput, onState });
  latest.current = { offsets, onOutput, onState };

  useEffect(() => {
    if (!enabled || !visible) return;
    let ended = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let pauseMs = firstPauseMs;
    let stop: () => void = () => undefined;
    const again = () => {
      stop();
      stop = () => undefined;
      setConnected(false);
      clearTimeout(timer);
      if (!ended) timer = setTimeout(open, pauseMs);
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    };
    const open = () => {
      // Unsubscribing completes a subscription too; only the server's end is the end.
      let left = false;
      const failed = () => {
        if (!left) again();
      };
      const from = Object.entries(latest.current.offsets()).map(([stream, at]) => `${stream}=${at}`).join(',');
      const subscription = client.tasks.tail.subscribe(
        { id: taskId, from },
        {
          onStarted: () => {
            setConnected(true);
            pauseMs = firstPauseMs;
          },
          onData: ({ data }) => {
            if (data.kind === 'output') latest.current.onOutput(data);
            else latest.current.onState();
          },
          onConnectionStateChange: (state) => {
            if (state.state === 'connecting' && state.error) failed();
          },
          onError: (error) => {
            if (!isRefusal(error)) failed();
          },
          onComplete: () => {
            if (left) return;
            ended = true;
            setConnected(false);
          },
        },
      );
      stop = () => {
        left = true;
        subscription.unsubscribe();
      };
    };
    open();
    return () => {
      ended = true;
      clearTimeout(timer);
      stop();
    };
  }, [client, taskId, enabled, visible, streams]);
  return { connected };
}

function useVisible(): boolean {
  const [visible, setVisible] = useState(true);
  useEffect(() => {
    const update = () => setVisible(document.visibilityState === 'visible');
    update();
    document.addEventListener('visibilitychange', update);
    return () => document.removeEventListener('visibilitychange', update);
  }, []);
  return visible;
}
