'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { ArrowRight, CircleAlert, CircleX } from 'lucide-react';
import Link from 'next/link';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Calm, Loaded } from '../../_ui/states';

/** What is wrong, why, and where to go; one calm line when nothing is. */
export function Attention() {
  const trpc = useTRPC();
  const query = useQuery(trpc.cluster.attention.queryOptions(undefined, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  return (
    <Section title="Needs attention">
      <Loaded query={query} skeleton={<div className="panel h-[46px] p-4"><div className="skeleton h-3 w-56" role="status" aria-label="Loading" /></div>}>
        {({ items, at }) =>
          items.length === 0 ? (
            <Calm words="All is well." at={at} />
          ) : (
            <ul className="panel divide-y divide-line">
              {items.map((item) => (
                <Item key={item.key} item={item} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </Section>
  );
}

function Item({ item }: { item: Outputs['cluster']['attention']['items'][number] }) {
  const failed = item.severity === 'failed';
  const Icon = failed ? CircleX : CircleAlert;
  return (
    <li className="flex flex-wrap items-start gap-x-3 gap-y-1 px-4 py-2.5 sm:flex-nowrap">
      <Icon aria-hidden size={16} className={`mt-0.5 shrink-0 ${failed ? 'text-fail' : 'text-look'}`} />
      <div className="min-w-0 flex-1 max-sm:basis-[80%]">
        <p className="font-medium break-words">
          <span className="sr-only">{failed ? 'Failed: ' : 'Look: '}</span>
          {item.title}
        </p>
        <p className="text-sm break-words text-soft">{item.cause}</p>
      </div>
      <Link href={item.action.href} className="link flex shrink-0 items-center gap-1 self-center text-sm max-sm:ml-7 max-sm:basis-full">
        {item.action.label} <ArrowRight aria-hidden size={13} />
      </Link>
    </li>
  );
}
