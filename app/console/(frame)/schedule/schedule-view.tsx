'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC, type Schedule } from '../../_ui/api';
import { Holder } from '../../_ui/holder';
import { Fact, PageHeader } from '../../_ui/page-header';
import { Empty, Loaded, SkeletonRows } from '../../_ui/states';
import { Status, toneIcons } from '../../_ui/status';
import { Until } from '../../_ui/time';
import { ScheduleTable } from './schedule-table';

/** What runs by itself, when it ran last and when it will run next. */
export function ScheduleView() {
  const trpc = useTRPC();
  const query = useQuery(trpc.schedules.list.queryOptions(undefined, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  const schedules = query.data?.schedules;
  return (
    <>
      <PageHeader
        title="Schedule"
        state={schedules && schedules.length > 0 && <State schedules={schedules} />}
        facts={
          <>
            <Fact name="Fired by"><Holder component="scheduler" /></Fact>
            {schedules && <Next schedules={schedules} />}
          </>
        }
      />
      <div className="panel overflow-x-auto">
        <Loaded query={query} skeleton={<SkeletonRows rows={10} />}>{(data) => (data.schedules.length === 0 ? <Empty title="Nothing is scheduled">Entries appear as soon as a node holds the scheduler’s lease.</Empty> : <ScheduleTable schedules={data.schedules} />)}</Loaded>
      </div>
    </>
  );
}

function Next({ schedules }: { schedules: Schedule[] }) {
  const [next] = schedules.flatMap((one) => (one.nextSlotAt && !one.paused ? [{ name: one.name, at: one.nextSlotAt }] : [])).toSorted((a, b) => a.at.getTime() - b.at.getTime());
  return next ? <Fact name="Next">{next.name} <Until at={next.at} /></Fact> : null;
}

function State({ schedules }: { schedules: Schedule[] }) {
  const missed = schedules.filter((one) => one.slots[0]?.outcome === 'missed').length;
  const paused = schedules.filter((one) => one.paused).length;
  if (missed > 0) return <Status chip look={{ icon: toneIcons.look, word: `${missed} missed`, tone: 'look' }} />;
  if (paused > 0) return <Status chip look={{ icon: toneIcons.look, word: `${paused} paused`, tone: 'look' }} />;
  return <Status chip look={{ icon: toneIcons.ok, word: 'on time', tone: 'ok' }} />;
}
